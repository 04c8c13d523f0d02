"""What part of a tensor an index needs: one run of elements, and an index into that run."""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Selection:
    """Elements [begin, begin + prod(block_shape)) of the flattened tensor, read as an array of `block_shape`.

    `block_shape` indexed with `steps` (all steps positive), then flipped along the axes `flips`, then given the shape
    `shape`, is what the index selects.
    """

    begin: int
    block_shape: tuple[int, ...]
    steps: tuple[int | slice, ...]
    flips: tuple[int, ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Axis:
    """What an index takes of one axis: `count` positions from `low`, `step` apart.

    They are reversed where `flip` is set, and the axis is dropped where `kept` is not.
    """

    low: int
    step: int
    count: int
    flip: bool
    kept: bool

    @property
    def span(self) -> int:
        return (self.count - 1) * self.step + 1 if self.count else 0


def select(shape: tuple[int, ...], index: Any) -> Selection:
    """Translates an index as numpy understands it: integers, slices with any step, one ellipsis, tuples of these.

    Raises IndexError where it does not fit the shape and TypeError for other kinds of index.
    """
    axes = [
        _axis(item, size, number) for number, (item, size) in enumerate(zip(_expand(shape, index), shape, strict=True))
    ]
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    kept_shape = tuple(axis.count for axis in axes if axis.kept)
    if math.prod(axis.count for axis in axes) == 0:
        return Selection(0, (0,), (slice(None),), (), kept_shape)

    # Axes of one position, from the left, only move the beginning.
    lead = 0
    while lead < len(axes) and axes[lead].count == 1:
        lead += 1
    begin = sum(axis.low * stride for axis, stride in zip(axes[: lead + 1], strides, strict=False))
    if lead == len(axes):
        return Selection(begin, (1,), (slice(None),), (), kept_shape)
    first, rest = axes[lead], axes[lead + 1 :]
    steps = (slice(0, None, first.step), *(_within(axis) for axis in rest))
    kept = [first, *(axis for axis in rest if axis.kept)]
    flips = tuple(number for number, axis in enumerate(kept) if axis.flip)
    return Selection(begin, (first.span, *shape[lead + 1 :]), steps, flips, kept_shape)


def _within(axis: _Axis) -> int | slice:
    return slice(axis.low, axis.low + axis.span, axis.step) if axis.kept else axis.low


def _expand(shape: tuple[int, ...], index: Any) -> list[Any]:
    items = list(index) if isinstance(index, tuple) else [index]
    ellipses = [number for number, item in enumerate(items) if item is Ellipsis]
    if len(ellipses) > 1:
        raise IndexError("an index can have only one ellipsis")
    if len(items) - len(ellipses) > len(shape):
        raise IndexError(
            f"too many indices: the tensor has {len(shape)} dimensions, {len(items) - len(ellipses)} were given"
        )
    place = ellipses[0] if ellipses else len(items)
    missing = len(shape) - (len(items) - len(ellipses))
    return items[:place] + [slice(None)] * missing + items[place + 1 :]


def _axis(item: Any, size: int, number: int) -> _Axis:
    if isinstance(item, slice):
        positions = range(*item.indices(size))
        flip = positions.step < 0
        low = min(positions[0], positions[-1]) if positions else 0
        return _Axis(low, abs(positions.step), len(positions), flip, kept=True)
    if isinstance(item, bool) or not hasattr(item, "__index__"):
        raise TypeError(f"indices are integers, slices and ellipses, not {type(item).__name__}")
    position = operator.index(item)
    if not -size <= position < size:
        raise IndexError(f"index {position} is out of bounds for dimension {number} of size {size}")
    return _Axis(position % size, 1, 1, flip=False, kept=False)
