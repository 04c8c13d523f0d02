"""Tensors of a state dict as bytes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from flyweight._buffers import check_threads, cpu_count, describe, write_view

Item = TypeVar("Item")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Bytes:
    """A tensor's bytes, and what they are."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: Any
    owner: Any  #: keeps the bytes alive


def readable(name: str, tensor: Any) -> Bytes:
    """A tensor to read. Raises ValueError, naming it, where it is not contiguous."""
    try:
        data, dtype, shape = describe(tensor)
    except (TypeError, ValueError) as error:
        raise type(error)(f"tensor {name!r}: {error}") from None
    return Bytes(name, dtype, tuple(shape), data, tensor)


def writable(name: str, tensor: Any) -> Bytes:
    """A tensor to change in place. Raises ValueError, naming it, where that cannot be."""
    described = readable(name, tensor)
    try:
        return Bytes(name, described.dtype, described.shape, write_view(tensor), tensor)
    except ValueError as error:
        raise ValueError(f"tensor {name!r}: {str(error).replace('out is', 'it is')}") from None


def rows(tensors: Iterable[Bytes]) -> list[tuple[bytes, str, tuple[int, ...], Any]]:
    """Tensors as the extension takes them."""
    return [(t.name.encode("utf-8", "surrogateescape"), t.dtype, t.shape, t.data) for t in tensors]


def address(data: Any) -> int:
    """Where the bytes of a writable tensor begin; 0 for none."""
    return ctypes.addressof(ctypes.c_char.from_buffer(data)) if len(data) else 0


def all_writable(state: Mapping[str, Any]) -> dict[str, Bytes]:
    return {name: writable(name, tensor) for name, tensor in state.items()}


def side_by_side(threads: int, work: Callable[[Item], Value], items: Iterable[Item]) -> list[Value]:
    """`work` of each item on up to `threads` threads (0: all CPUs), in order. Raises the first error once all ended."""
    todo = list(items)
    workers = min(check_threads(threads) or cpu_count(), len(todo), 64)
    if workers <= 1:
        return [work(item) for item in todo]
    with ThreadPoolExecutor(workers, "flyweight") as pool:
        futures: list[Future[Value]] = [pool.submit(work, item) for item in todo]
    return [future.result() for future in futures]
