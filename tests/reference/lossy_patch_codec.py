"""Lossy patches: section 3.6.3 of docs/format.md, whose numbers the comments name."""

import math
import struct
from dataclasses import dataclass

import numpy as np
from class_codecs import classes, context_stream, frequency_tables
from cursor import Cursor, must
from lossy_codecs import bf16_values, block_words, f16_values, to_elements
from patch_codecs import check_base, patch_differences

LOSSY_PATCH = 137
CONTEXTS, BIAS, DIRECT, HIGHEST, EXACT = 20, 24, 40, 103, 255
WORDS = {"F32": "<u4", "F16": "<u2", "BF16": "<u2"}


@dataclass
class LossyPatchSide:
    """3.6.3: the head's side information behind that of the patch."""

    method: int
    row_steps: bool
    by_rows: bool
    by_columns: bool
    step: float
    columns: int
    column_classes: np.ndarray = None


def lossy_patch_side(cursor, dtype_name):
    must(dtype_name in WORDS, "a lossy patch of another dtype")
    modes = cursor.uint(1)
    must(modes < 8, "lossy patch: unknown modes")
    method = cursor.uint(1)
    must(1 <= method <= 4, "lossy patch: an unknown method")
    cursor.zeros(2, "lossy patch")
    (step,) = struct.unpack("<f", cursor.take(4))
    side = LossyPatchSide(method, bool(modes & 1), bool(modes & 2), bool(modes & 4), step, cursor.uint(4))
    must(math.isfinite(step) and math.copysign(1, step) > 0 and not (side.row_steps and step), "a step that is none")
    must(side.columns <= 1 << 20 and (side.columns or not side.by_columns), "lossy patch: impossible columns")
    if side.by_columns:
        side.column_classes = classes(cursor, side.columns)
    return side


def places(side, first, count):
    """Row, from that of the first element, and column of each element."""
    numbers = np.arange(first, first + count)
    if not side.columns:
        return np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    return numbers // side.columns - first // side.columns, numbers % side.columns


def contexts_of(side, row_classes, rows, columns):
    """Contexts and counts of low bits."""
    t = np.full(len(rows), BIAS, dtype=np.int64)
    if side.by_rows:
        t += row_classes[rows]
    if side.by_columns:
        t += side.column_classes[columns]
    t = np.clip(t, 0, HIGHEST)
    low = np.where(t < DIRECT, 0, (t - DIRECT + 4) // 4)
    return (t - 4 * low) // 2, low


def read_low_bits(data, counts):
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")[:total]
    values = np.zeros(len(counts), dtype=np.int64)
    for place in range(int(counts.max()) if len(counts) else 0):
        there = np.flatnonzero(counts > place)
        values[there] |= bits[(ends - counts)[there] + place].astype(np.int64) << place
    return values


def as_values(elements, dtype_name):
    if dtype_name == "F32":
        return elements.view("<f4")
    return bf16_values(elements) if dtype_name == "BF16" else f16_values(elements)


def lossy_patch(payload, side, dtype_name, expected, first):
    """The payload of codec 137 behind the checksum of the base. `expected` is what the base lets expect of the chunk,
    whose first element has the number `first`."""
    cursor = Cursor(payload)
    words = np.frombuffer(expected, dtype=WORDS[dtype_name])
    count = len(words)
    rows, columns = places(side, first, count)
    row_count = int(rows[-1]) + 1 if count else 0
    exact_count, exact_bytes = cursor.uint(4), cursor.uint(4)
    steps = np.full(row_count, side.step, dtype=np.float32)
    if side.row_steps:
        steps_words = block_words(cursor, row_count)
        must(np.all(steps_words < 0x7F80), "lossy patch: a step that is none")
        steps = bf16_values(steps_words)
    row_classes = classes(cursor, row_count) if side.by_rows else None
    has_contexts = side.by_rows or side.by_columns
    contexts, low_counts = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    if has_contexts:
        contexts, low_counts = contexts_of(side, row_classes, rows, columns)
    tables = frequency_tables(cursor)
    must(len(tables.value) == (CONTEXTS if has_contexts else 1), "lossy patch: not as many tables as contexts")
    low = read_low_bits(cursor.take((int(low_counts.sum()) + 7) // 8), low_counts)
    exact = cursor.take(exact_bytes)
    symbols, _ = context_stream(cursor.take(cursor.left()), contexts, count, False, tables)
    symbols = symbols.astype(np.int64)
    high = np.where(symbols & 1, -((symbols + 1) >> 1), symbols >> 1)
    numbers = np.where(symbols == EXACT, 0, (high << low_counts) + low)
    with np.errstate(all="ignore"):
        moved = as_values(words, dtype_name) + numbers.astype(np.float32) * steps[rows]
        moved = np.frombuffer(to_elements(moved.astype(np.float32), dtype_name), dtype=words.dtype)
    result = np.where(numbers == 0, words, moved).astype(words.dtype)
    is_exact = symbols == EXACT
    must(int(is_exact.sum()) == exact_count and bool(exact_count) == bool(exact_bytes), "lossy patch: exact elements")
    if exact_count:
        given = patch_differences(exact, words.dtype.itemsize, words[is_exact].tobytes())
        result[is_exact] = np.frombuffer(given, dtype=words.dtype)
    return result.tobytes()


def expected_chunk(cursor, patch, base, element_bytes, first, count):
    """What the base lets expect of a chunk, once its checksum was read and holds."""
    expected = patch.predictor.predict(check_base(cursor, patch, base, first, count), first)
    return expected.ljust(count * element_bytes, b"\0")
