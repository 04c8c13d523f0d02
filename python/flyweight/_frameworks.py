"""How numpy and torch make tensors. Neither is imported before find() is called for it."""

from __future__ import annotations

from typing import Any, Protocol

from flyweight._errors import FlyweightError


class Framework(Protocol):
    """Makes tensors of one kind."""

    def empty(self, dtype: str, shape: tuple[int, ...], name: str) -> tuple[Any, Any]:
        """An uninitialised tensor and a writable memoryview of its bytes.

        Raises FlyweightError where the framework has no such dtype; `name` is for the message.
        """

    def finish(self, block: Any, steps: tuple[int | slice, ...], flips: tuple[int, ...], shape: tuple[int, ...]) -> Any:
        """Indexes, flips and shapes a block (_indexing.Selection); the result holds no more memory than it needs."""

    def place(self, tensor: Any) -> Any:
        """Puts a finished tensor where the user wants it."""


def find(framework: str, device: str | int) -> Framework:
    """The framework of that name. Raises FlyweightError for other names, ImportError where it is not installed."""
    if framework in ("np", "numpy"):
        if device != "cpu":
            raise FlyweightError(f"numpy arrays are on the CPU, not on device {device!r}")
        from flyweight import numpy

        return numpy.NumpyFramework()
    if framework in ("pt", "torch", "pytorch"):
        from flyweight import torch

        return torch.TorchFramework(device)
    raise FlyweightError(f"unknown framework {framework!r}; known are np, numpy, pt, torch")
