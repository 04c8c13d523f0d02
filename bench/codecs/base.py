"""What the benchmark asks of a codec."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from bench.corpus import Case


class Codec(ABC):
    """Measured from outside: `encode` and `decode` alone are timed. All work on one thread.

    Life: setup, then any number of (before_encode, encode), then any number of (before_decode, decode, restored).
    """

    def __init__(self) -> None:
        self.case: Case

    def setup(self, case: Case) -> None:
        """Makes buffers and contexts; not timed."""
        self.case = case

    def before_encode(self) -> None:
        """Refreshes an input that the last `encode` may have changed; not timed."""
        return None

    @abstractmethod
    def encode(self) -> None:
        """Compresses the case and keeps the result; timed."""

    @abstractmethod
    def encoded(self) -> list[bytes]:
        """Everything that must be kept to restore the case."""

    def before_decode(self) -> None:
        """Overwrites or drops what the last `decode` made, so that old bytes cannot pass for new ones; not timed."""
        return None

    @abstractmethod
    def decode(self) -> None:
        """Restores the case from what `encode` kept; timed."""

    @abstractmethod
    def restored(self) -> np.ndarray:
        """The bytes that `decode` made, to be compared with `original`."""

    def original(self) -> np.ndarray:
        return self.case.payload

    def describe(self) -> str:
        """The settings, for the report."""
        return ""


class IntoBuffer(Codec):
    """A codec that decodes into a buffer of the caller."""

    def setup(self, case: Case) -> None:
        super().setup(case)
        self.target = np.empty_like(self.original())

    def before_decode(self) -> None:
        self.target.fill(0xA5)

    def restored(self) -> np.ndarray:
        return self.target
