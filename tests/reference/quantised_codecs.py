"""Quantised values in wider elements: sections 3.9 and 3.10 of docs/format.md, whose numbers the comments name."""

import numpy as np
from chunk_codecs import coded_plane
from cursor import Cursor, must

PALETTE, SCALED = 7, 8
WORD_OF_DTYPE = {"BF16": "<u2", "F16": "<u2", "F32": "<u4"}


def patch_elements(cursor, elements):
    """3.9.1: to the end of the payload."""
    at = 0
    while cursor.left():
        at += cursor.uint(2)
        must(at < len(elements), "a patch behind the last element")
        elements[at] = cursor.uint(elements.itemsize)
    return elements.tobytes()


def joined_planes(cursor, count, width):
    words = np.zeros(count, dtype=np.uint64)
    for p in range(width):
        words |= coded_plane(cursor, count).astype(np.uint64) << np.uint64(8 * p)
    return words


def palette(payload, element_bytes, chunk_bytes):
    """3.9"""
    cursor = Cursor(payload)
    count = cursor.uint(1) + 1
    cursor.zeros(3, "palette")
    must(element_bytes >= 2, "a palette of single bytes")
    entries = np.cumsum(joined_planes(cursor, count, element_bytes)).astype(f"<u{element_bytes}")
    indices = coded_plane(cursor, chunk_bytes // element_bytes)
    must(int(indices.max()) < count, "palette: an index without an entry")
    return patch_elements(cursor, entries[indices])


def round_products(products, dtype_name, cut_off):
    """3.10, from F32 to words."""
    bits = products.view(np.uint32)
    if dtype_name == "F32":
        return bits.astype("<u4")
    if cut_off:
        return (bits >> 16).astype("<u2")
    if dtype_name == "F16":
        with np.errstate(over="ignore"):
            return products.astype("<f2").view("<u2")
    return (bits + np.uint32(0x7FFF) + (bits >> 16 & 1) >> 16).astype("<u2")


def scaled_integers(payload, dtype_name, element_count):
    """3.10"""
    must(dtype_name in WORD_OF_DTYPE, "scaled integers of a dtype that has none")
    cursor = Cursor(payload)
    flags, zero, minus_zero = cursor.uint(1), cursor.uint(1), cursor.uint(1)
    width, shift = cursor.uint(1), cursor.uint(1)
    cursor.zeros(3, "scaled integers")
    group, first, base = cursor.uint(4), cursor.uint(4), cursor.uint(4)
    must(flags <= 3 and (not flags & 1 or dtype_name == "BF16"), "scaled integers: flags that cannot be")
    must(flags & 2 or minus_zero == 0, "scaled integers: a code for -0 that is not in use")
    must(width <= 4 and shift <= 31 and 1 <= first <= group, "scaled integers: a field out of bounds")
    codes = coded_plane(cursor, element_count).astype(np.int32)
    group_count = 1 + -(-max(0, element_count - first) // group)
    bits = base + (joined_planes(cursor, group_count, width) << np.uint64(shift))
    must(int(bits.max()) < 0x7F800000, "scaled integers: a scale that is none")
    groups = (np.arange(element_count) + (group - first)) // group
    scales = bits.astype(np.uint32).view(np.float32)[groups]
    with np.errstate(over="ignore"):
        products = (codes - zero).astype(np.float32) * scales
    words = round_products(products, dtype_name, flags & 1)
    if flags & 2:
        words[codes == minus_zero] = 1 << 8 * words.itemsize - 1
    return patch_elements(cursor, words)


def quantised(codec, payload, dtype_name, element_bytes, chunk_bytes):
    if codec == PALETTE:
        return palette(payload, element_bytes, chunk_bytes)
    return scaled_integers(payload, dtype_name, chunk_bytes // element_bytes)
