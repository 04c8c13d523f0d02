"""Extents that are made of others: sections 1.4.1 and 1.4.2 of docs/format.md."""

import numpy as np
from cursor import must

PIECES, CAST = 4, 5
BF16_ROUNDED, BF16_TRUNCATED, F16_ROUNDED = 1, 2, 3
CAST_DTYPES = {BF16_ROUNDED: "BF16", BF16_TRUNCATED: "BF16", F16_ROUNDED: "F16"}


def parse_pieces(cursor, extent):
    """1.4.1. The record's place stays empty where there is none."""
    extent.own_bytes = cursor.uint(8)
    if extent.own_bytes:
        extent.record = cursor.uint(8), cursor.uint(8), cursor.uint(8)
    extent.pieces = [(cursor.uint(8), cursor.uint(4), cursor.uint(8)) for _ in range(cursor.uint(4))]


def parse_cast(cursor, extent):
    """1.4.2"""
    extent.cast = cursor.uint(1), cursor.uint(8)
    must(extent.cast[0] in CAST_DTYPES, f"cast method {extent.cast[0]} is unknown")


def record_bytes(extent):
    """What the record of an extent decodes to; 0 where it has none."""
    return {1: extent.decoded_bytes, PIECES: extent.own_bytes}.get(extent.kind, 0)


def check_pieces(extent, extents):
    """`extents`: all up to and including this one."""
    for size, number, offset in extent.pieces:
        must(size > 0 and number < len(extents), "an empty piece, or one of a later extent")
        must(offset + size <= record_bytes(extents[number]), "a piece that ends behind its record")
    must(sum(piece[0] for piece in extent.pieces) == extent.decoded_bytes, "pieces that are not the extent's bytes")


def check_cast(extent, extents, dtype_names):
    method, number = extent.cast
    must(number < len(extents), "a cast of nothing")
    source = extents[number]
    must(source.kind in (1, PIECES), "a cast of an extent without bytes of its own")
    must(None not in (extent.tensor_name, source.tensor_name), "a cast of or to no tensor")
    must(
        dtype_names.get(extent.dtype) == CAST_DTYPES[method] and dtype_names.get(source.dtype) == "F32",
        "a cast of or to another dtype",
    )
    must(source.decoded_bytes == 2 * extent.decoded_bytes, "a cast of more or fewer elements")


def cast_from_f32(method, data):
    words = np.frombuffer(data, dtype="<u4")
    high = (words >> 16).astype("<u2")
    is_nan = (words & 0x7FFFFFFF) > 0x7F800000
    if method == BF16_TRUNCATED:
        return high.tobytes()
    if method == BF16_ROUNDED:
        rounded = ((words.astype(np.uint64) + ((words >> 16) & 1) + 0x7FFF) >> 16).astype("<u2")
        return np.where(is_nan, high | 0x40, rounded).astype("<u2").tobytes()
    with np.errstate(all="ignore"):
        rounded = words.view("<f4").astype("<f2").view("<u2")
    nans = (high & 0x8000) | 0x7E00 | ((words >> 13) & 0x3FF).astype("<u2")
    return np.where(is_nan, nans, rounded).astype("<u2").tobytes()
