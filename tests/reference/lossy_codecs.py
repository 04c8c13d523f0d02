"""Lossy records: sections 1.5.1 and 3.6 of docs/format.md, whose numbers the comments name."""

import math
import struct
from dataclasses import dataclass

import numpy as np
from chunk_codecs import FloatSide, coded_plane, float_side
from cursor import Cursor, must

F16, BF16, BLOCKS, DELTA = 1, 2, 3, 4
DTYPES = {
    F16: ("F32", "F64"),
    BF16: ("F32", "F64"),
    BLOCKS: ("F16", "BF16", "F32", "F64"),
    DELTA: ("F16", "BF16", "F32"),
}
WORDS = {F16: "F16", BF16: "BF16"}
ROW_BYTES = 28


@dataclass
class LossySide:
    """3.6: the head's side information."""

    method: int
    bits: int
    has_minimum: bool
    block: int
    floats: FloatSide = None


def lossy_choice(cursor, known_flags):
    """3.6, up to the float fields. Gives the side information and the flags."""
    method, bits, flags = cursor.uint(1), cursor.uint(1), cursor.uint(1)
    cursor.zeros(1, "lossy")
    block = cursor.uint(4)
    must(method in DTYPES, f"lossy method {method} is unknown")
    must(flags & ~known_flags == 0, "lossy: unknown flags")
    if method == DELTA:
        must(1 <= bits <= 4 and flags == 0, "lossy: a difference made smaller in no known way")
        return LossySide(method, bits, False, block), flags
    if method == BLOCKS:
        must(2 <= bits <= 8 and 16 <= block <= 4096 and block & (block - 1) == 0 and not flags & 2, "lossy: no blocks")
    else:
        must(bits == 16 and block == 0 and not flags & 1, "lossy: halves with the fields of blocks")
    return LossySide(method, bits, bool(flags & 1), block), flags


def lossy_side(data, dtype_name, chunk_elements):
    cursor = Cursor(data)
    side, flags = lossy_choice(cursor, 3)
    must(side.method != DELTA, "lossy: a difference without a base")
    must(dtype_name in DTYPES[side.method], "lossy: the method does not take the dtype")
    must(side.method != BLOCKS or chunk_elements % side.block == 0, "lossy: chunks that are not whole blocks")
    if flags & 2:
        side.floats = float_side(cursor.take(cursor.left()), WORDS[side.method])
    cursor.end("lossy side information")
    return side


def bf16_values(words):
    return (words.astype(np.uint32) << 16).view(np.float32)


def f16_values(words):
    """Bit by bit, so that no payload of a NaN depends on the machine."""
    words = words.astype(np.uint32)
    exponents, mantissas, signs = words >> 10 & 31, words & 1023, words >> 15 << 31
    normal = signs | (exponents + 112) << 23 | mantissas << 13
    special = signs | np.uint32(0x7F800000) | mantissas << 13
    tiny = signs | (mantissas.astype(np.float32) * np.float32(2.0**-24)).view(np.uint32)
    bits = np.where(exponents == 31, special, np.where(exponents == 0, tiny, normal))
    return bits.astype(np.uint32).view(np.float32)


def to_elements(values, dtype_name):
    """3.6, "From F32"."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype_name == "F32":
            return values.astype("<f4").tobytes()
        if dtype_name == "F64":
            return values.astype("<f8").tobytes()
        if dtype_name == "F16":
            return values.astype("<f2").tobytes()
    bits = values.view(np.uint32).astype(np.uint64)
    rounded = bits + 0x7FFF + (bits >> np.uint64(16) & np.uint64(1)) >> np.uint64(16)
    return rounded.astype("<u2").tobytes()


def halves(words, side, dtype_name):
    """3.6.1: from the bytes of the words."""
    words = np.frombuffer(words, dtype="<u2")
    return to_elements((f16_values if side.method == F16 else bf16_values)(words), dtype_name)


def block_words(cursor, block_count):
    low, high = (coded_plane(cursor, block_count).astype(np.uint16) for _ in range(2))
    rotated = high << np.uint16(8) | low
    return rotated >> np.uint16(1) | rotated << np.uint16(15)


def blocks(payload, side, dtype_name, element_count):
    """3.6.2"""
    cursor = Cursor(payload)
    block_count = -(-element_count // side.block)
    codes = coded_plane(cursor, element_count).astype(np.int32)
    scales = block_words(cursor, block_count)
    minima = block_words(cursor, block_count) if side.has_minimum else np.zeros(block_count, dtype=np.uint16)
    cursor.end("quantised blocks")
    must(np.all(codes <= (1 << side.bits) - (1 if side.has_minimum else 2)), "quantised blocks: a code too high")
    must(np.all(scales < 0x7F80) and np.all(minima & 0x7F80 != 0x7F80), "quantised blocks: no scale or no minimum")
    zero = 0 if side.has_minimum else (1 << side.bits - 1) - 1
    with np.errstate(over="ignore"):
        values = (codes - zero).astype(np.float32) * np.repeat(bf16_values(scales), side.block)[:element_count]
        if side.has_minimum:
            values = np.repeat(bf16_values(minima), side.block)[:element_count] + values
    return to_elements(values, dtype_name)


def lossy_rows(value, extents, dtype_names):
    """1.5.1: the rows of attribute 5, by extent."""
    must(value and len(value) % ROW_BYTES == 0, "lossy rows of another size")
    cursor, rows, last = Cursor(value), {}, -1
    while cursor.left():
        number = cursor.uint(4)
        side, _ = lossy_choice(cursor, 1)
        errors = struct.unpack("<2d", cursor.take(16))
        if side.method == DELTA:  # its block is the error of the difference
            errors = (*errors, *struct.unpack("<f", side.block.to_bytes(4, "little")))
            side.block = 0
        must(last < number < len(extents), "lossy rows that name no extents, or out of order")
        extent = extents[number]
        name = dtype_names[extent.dtype] if extent.dtype < len(dtype_names) else None
        must(extent.tensor_name is not None and name in DTYPES[side.method], "a lossy row of what cannot be lossy")
        must(all(math.isfinite(error) and math.copysign(1, error) > 0 for error in errors), "an error that is none")
        rows[number], last = (side, *errors), number
    return rows
