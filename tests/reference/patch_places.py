"""Extents that are made from a base: sections 1.4.3, 1.5.3 and 1.6 of docs/format.md."""

import hashlib
from dataclasses import dataclass

from cursor import Cursor, must, xxh3

PATCHED, BASE = 6, 7
BASE_TABLE = 7  # the kind of the attribute
DEPTH_LIMIT = 4096
STRETCH, STRETCHES = 4096, 16


@dataclass
class Row:
    """1.5.3"""

    is_tensor: int
    dtype: int
    shape: tuple
    name: bytes
    size: int
    digest: bytes
    sample: int


@dataclass
class BaseTable:
    base_identity: bytes
    result_identity: bytes
    name: bytes
    rows: list


def parse_patched(cursor, extent):
    """1.4.3"""
    extent.record = cursor.uint(8), cursor.uint(8), cursor.uint(8)
    where, number, extent.depth = cursor.uint(1), cursor.uint(8), cursor.uint(4)
    must(where <= 1, "a base that is neither here nor outside")
    extent.base = where, number


def parse_base(cursor, extent):
    extent.base = 1, cursor.uint(8)


def parse_base_table(value, check_tensor_bytes):
    """1.5.3. `check_tensor_bytes(dtype, shape, size)` is section 4's rule."""
    cursor = Cursor(value)
    table = BaseTable(bytes(cursor.take(32)), bytes(cursor.take(32)), bytes(cursor.take(cursor.uint(2))), [])
    for _ in range(cursor.uint(4)):
        is_tensor, rank, dtype = cursor.uint(1), cursor.uint(1), cursor.uint(2)
        shape = tuple(cursor.uint(8) for _ in range(rank))
        name = bytes(cursor.take(cursor.uint(2)))
        row = Row(is_tensor, dtype, shape, name, cursor.uint(8), bytes(cursor.take(32)), cursor.uint(8))
        must(is_tensor <= 1, "is_tensor must be 0 or 1")
        must(row.size > 0, "a row without bytes")
        must(is_tensor or (dtype == 0 and rank == 0), "a row with a type that is no tensor")
        check_tensor_bytes(dtype, shape, row.size)
        table.rows.append(row)
    cursor.end("base table")
    return table


def check_patches(extents, table):
    """1.4.3"""
    rows = table.rows if table else []
    for extent in extents:
        if extent.kind == BASE:
            must(extent.base[1] < len(rows), "the same as a row that is not there")
            must(rows[extent.base[1]].size == extent.decoded_bytes, "the same as a row of another size")
        elif extent.kind == PATCHED:
            where, number = extent.base
            must(extent.depth <= DEPTH_LIMIT, "too many patches on each other")
            must(number < len(rows if where else extents), "a base that is not there")
            base = None if where else extents[number]
            must(base is None or (base.kind != 2 and base.decoded_bytes > 0), "a base without bytes of its own")
            must(extent.depth == 1 + (base.depth if base and base.kind == PATCHED else 0), "a wrong depth")


def sample_of(data):
    """1.5.3"""
    if len(data) <= STRETCH * STRETCHES:
        return xxh3(data)
    begins = [i * ((len(data) - STRETCH) // (STRETCHES - 1)) for i in range(STRETCHES)]
    return xxh3(b"".join(data[begin : begin + STRETCH] for begin in begins))


def check_base(table, contents, chunk_bytes):
    """Whether `contents`, the bytes of each row, are those of the base. `chunk_bytes(dtype)` cuts digests."""
    must(len(contents) == len(table.rows), "another number of rows")
    for row, content in zip(table.rows, contents, strict=True):
        must(len(content) == row.size and sample_of(content) == row.sample, "a row of another base")
        size = chunk_bytes(row.dtype)
        chunks = [hashlib.sha256(content[i : i + size]).digest() for i in range(0, len(content), size)]
        must(hashlib.sha256(b"".join(chunks)).digest() == row.digest, "a row without its digest")


def identity_of(files):
    """1.6, from an index."""
    entries = [
        (
            extent.tensor_name,
            extent.dtype.to_bytes(2, "little")
            + bytes([len(extent.shape)])
            + b"".join(dimension.to_bytes(8, "little") for dimension in extent.shape)
            + extent.digest,
        )
        for file in files
        for extent in file.extents
        if extent.tensor_name is not None
    ]
    if not entries:
        return hashlib.sha256(b"".join(sorted(file.sha256 for file in files if file.sha256 is not None))).digest()
    text = b"".join(len(name).to_bytes(4, "little") + name + rest for name, rest in sorted(entries))
    return hashlib.sha256(text).digest()
