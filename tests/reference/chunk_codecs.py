"""How the bytes of one chunk are decoded: section 3 of docs/format.md, whose numbers the comments name."""

from dataclasses import dataclass

import class_codecs
import numpy as np
from cursor import Cursor, must, zstd_frame

LAYOUT_OF_DTYPE = {"BF16": 1, "F16": 2, "F32": 3, "C64": 3}
WINDOW_LIMIT = 1 << 23

# 3.1 to 3.4: planes and shift vectors ---------------------------------------------------------------------------------


def masked_bits(data, count):
    """3.3"""
    cursor = Cursor(data)
    runs = [(cursor.uint(1), cursor.uint(1), cursor.uint(2)) for _ in range(cursor.uint(2))]
    block_count = -(-count // 64)
    must(sum(run[2] for run in runs) == block_count, "masked bits: the runs do not add up to the plane")
    plane = np.empty(block_count * 64, dtype=np.uint8)
    at = 0
    for mask, base, blocks in runs:
        must(blocks > 0, "masked bits: a run without blocks")
        must(base & mask == 0, "masked bits: base and mask overlap")
        bits = [bit for bit in range(8) if mask >> bit & 1]
        if mask == 255:
            values = cursor.bytes_array(blocks * 64)
        else:
            planes = np.unpackbits(
                cursor.bytes_array(blocks * 8 * len(bits)).reshape(blocks, len(bits), 8), axis=2, bitorder="little"
            )
            values = np.full((blocks, 64), base, dtype=np.uint8)
            for index, bit in enumerate(bits):
                values |= planes[:, index, :] << np.uint8(bit)
        plane[at : at + blocks * 64] = values.reshape(-1)
        at += blocks * 64
    cursor.end("masked bits")
    return plane[:count]


def coded_plane(cursor, count):
    """3.1: `count` bytes."""
    method, stored_bytes = cursor.uint(1), cursor.uint(4)
    data = cursor.take(stored_bytes)
    if method == 0:
        must(len(data) == count, "a stored plane of another size")
        return np.frombuffer(data, dtype=np.uint8)
    if method == 1:
        must(len(data) == 1, "a constant plane must have 1 byte")
        return np.full(count, data[0], dtype=np.uint8)
    if method == 2:
        return np.frombuffer(zstd_frame(data, count, WINDOW_LIMIT), dtype=np.uint8)
    if method == 4:
        return class_codecs.coded_bytes(data, count)
    must(method == 3, f"plane method {method} is unknown")
    return masked_bits(data, count)


def unary(data, count):
    """3.4, method 1: each value is the number of zero bits before the next one bit."""
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    ones = np.flatnonzero(bits)
    must(len(ones) == count, "unary shifts: not as many values as there must be")
    must(len(bits) - (int(ones[-1]) + 1 if count else 0) < 8, "unary shifts: bytes too many")
    z = np.diff(ones, prepend=-1) - 1
    must(count == 0 or int(z.max()) <= 255, "unary shifts: a value that is no signed byte")
    return np.where(z % 2 == 0, z // 2, -(z + 1) // 2).astype(np.int64)


def shift_vector(cursor, count):
    """3.4: `count` signed values."""
    method, stored_bytes = cursor.uint(1), cursor.uint(4)
    data = cursor.take(stored_bytes)
    if method == 1:
        return unary(data, count)
    if method == 2:
        data = zstd_frame(data, count, WINDOW_LIMIT)
    else:
        must(method == 0, f"shift method {method} is unknown")
    must(len(data) == count, "shifts of another count")
    return np.frombuffer(data, dtype=np.int8).astype(np.int64)


def planes(payload, element_bytes, chunk_bytes):
    """3.2"""
    cursor = Cursor(payload)
    rotate = cursor.uint(1)
    must(rotate <= 1, "planes: rotate must be 0 or 1")
    count = chunk_bytes // element_bytes
    parts = [coded_plane(cursor, count).astype(np.uint64) for _ in range(element_bytes)]
    cursor.end("planes")
    words = np.zeros(count, dtype=np.uint64)
    for index, part in enumerate(parts):
        words |= part << np.uint64(8 * index)
    if rotate:
        words = words >> np.uint64(1) | (words & np.uint64(1)) << np.uint64(8 * element_bytes - 1)
    return words.astype("<u8").view(np.uint8).reshape(count, 8)[:, :element_bytes].tobytes()


def differences(payload, element_bytes, chunk_bytes):
    """3.13"""
    must(element_bytes >= 2, "differences of elements of one byte")
    z = np.frombuffer(planes(payload, element_bytes, chunk_bytes), dtype=f"<u{element_bytes}")
    step = (z >> 1) ^ (0 - (z & 1)).astype(z.dtype)
    return np.cumsum(step, dtype=z.dtype).astype(f"<u{element_bytes}").tobytes()


# 3.5: float fields ----------------------------------------------------------------------------------------------------


@dataclass
class HeadTable:
    """3.5.2: per slot the exponent, b, frequency and place in the symbol; and the exponents that patches name."""

    exponent: np.ndarray
    b: np.ndarray
    frequency: np.ndarray
    place: np.ndarray
    second: list


def head_table(cursor):
    n, m = cursor.uint(1), cursor.uint(1)
    must(1 <= n <= 16 and m <= 15, "head table: its counts are out of bounds")
    exponents, second = list(cursor.take(n)), list(cursor.take(m))
    frequencies = np.stack([cursor.bytes_array(n), cursor.bytes_array(n)], axis=1).reshape(-1).astype(np.int64)
    must(len(set(exponents)) == n, "head table: an exponent stands in it twice")
    must(frequencies.min() >= 1 and frequencies.sum() == 256, "head table: its frequencies do not add up to 256")
    first = np.cumsum(frequencies) - frequencies
    symbol = np.repeat(np.arange(2 * n), frequencies)
    return HeadTable(
        np.array(exponents, dtype=np.int64)[symbol // 2],
        symbol % 2,
        frequencies[symbol],
        np.arange(256) - first[symbol],
        second,
    )


@dataclass
class FloatSide:
    """3.5: the head's side information."""

    layout: int
    rows: bool
    columns: int
    column_shifts: np.ndarray
    table: HeadTable


def float_side(data, dtype_name):
    cursor = Cursor(data)
    layout, modes = cursor.uint(1), cursor.uint(1)
    must(LAYOUT_OF_DTYPE.get(dtype_name) == layout, "float fields: the layout is not the dtype's")
    must(modes <= 3, "float fields: unknown modes")
    cursor.zeros(2, "float fields")
    columns = cursor.uint(4)
    must(1 <= columns <= 1 << 20 if modes else columns == 0, "float fields: columns out of bounds")
    column_shifts = shift_vector(cursor, columns) if modes & 2 else None
    table = head_table(cursor)
    cursor.end("float fields")
    return FloatSide(layout, bool(modes & 1), columns, column_shifts, table)


POSITION = np.arange(64)
ELEMENT = 8 * ((POSITION >> 4) + 4 * ((POSITION >> 3) & 1)) + (POSITION & 7)


def decode_streams(states, stream_data, iterations, table):
    """The slots of all blocks, shaped (iteration, block, position), and the 128 low bytes that are left."""
    slots = np.empty((iterations, 8, 64), dtype=np.int64)
    left = []
    for stream in range(2):
        data = np.frombuffer(stream_data[stream], dtype=np.uint8)
        x = states[stream, 1] * 256 + states[stream, 0]
        at = 0
        for block in range(4 * iterations):
            slot = x & 255
            slots[block // 4, 2 * (block % 4) + stream] = slot
            x = table.frequency[slot] * (x >> 8) + table.place[slot]
            low = np.flatnonzero(x < 256)
            must(at + len(low) <= len(data), "a stream is too short")
            x[low] = x[low] * 256 + data[at : at + len(low)]
            at += len(low)
        must(at == len(data), "a stream is too long")
        must(np.all(x >> 8 == 1), "a stream does not end in the state it must")
        left.append((x & 255).astype(np.uint8))
    return slots, np.concatenate(left)


def rests_wide(plane, iterations):
    """7 bits a head: 7 rows of 64 bytes; the rests of block 7 lie in the top bits."""
    rows = plane.reshape(iterations, 7, 64)
    rests = np.empty((iterations, 8, 64), dtype=np.int64)
    rests[:, :7] = rows & 127
    rests[:, 7] = sum((rows[:, r] >> 7).astype(np.int64) << r for r in range(7))
    return rests


def rests_narrow(plane, iterations):
    """2 bits a head: 2 rows of 64 bytes, 4 blocks in each."""
    rows = plane.reshape(iterations, 2, 64)
    return np.stack([rows[:, block // 4] >> (2 * (block % 4)) & 3 for block in range(8)], axis=1).astype(np.int64)


def apply_patches(data, exponents, table):
    cursor = Cursor(data)
    word = 0
    while cursor.left():
        gap, rank = divmod(cursor.uint(2), 16)
        word += gap
        must(word < len(exponents), "a patch behind the last coded word")
        if gap == 4095:
            must(rank == 0, "a skip in the patch list names an exponent")
            continue
        if rank == 15:
            exponents[word] = cursor.uint(1)
        else:
            must(rank < len(table.second), "a patch names an exponent that is not there")
            exponents[word] = table.second[rank]


def natural_order(blocks):
    """From positions to elements."""
    ordered = np.empty_like(blocks)
    ordered[:, :, ELEMENT] = blocks
    return ordered.reshape(-1)


def float_heads(cursor, side, word_count, first_word):
    """3.5.3 up to the low planes: the heads of all words."""
    wide = side.layout != 2
    flags = cursor.uint(1)
    must(flags <= 1, "float payload: unknown flags")
    cursor.zeros(3, "float payload")
    patch_bytes = cursor.uint(4)
    stream_bytes = [cursor.uint(4), cursor.uint(4)]
    table = head_table(cursor) if flags & 1 else side.table
    iterations = word_count // 512
    coded = iterations * 512
    words = first_word + np.arange(coded)
    shifts = np.zeros(coded, dtype=np.int64)
    if side.rows:
        first_row, last_row = first_word // side.columns, (first_word + word_count - 1) // side.columns
        shifts += shift_vector(cursor, last_row - first_row + 1)[words // side.columns - first_row]
    if side.column_shifts is not None:
        shifts += side.column_shifts[words % side.columns]

    heads = np.empty(word_count, dtype=np.int64)
    if iterations:
        states = cursor.bytes_array(256).reshape(2, 2, 64).astype(np.int64)
        rest_start = cursor.bytes_array(iterations * (448 if wide else 128) - 128)
        slots, left = decode_streams(states, [cursor.take(count) for count in stream_bytes], iterations, table)
        rest_plane = np.concatenate([rest_start, left])
        rests = natural_order((rests_wide if wide else rests_narrow)(rest_plane, iterations))
        slots = natural_order(slots)
        exponents = table.exponent[slots]
        apply_patches(cursor.take(patch_bytes), exponents, table)
        exponents = (exponents + shifts) % (256 if wide else 32)
        b = table.b[slots]
        if wide:
            heads[:coded] = (rests & 1) << 15 | exponents << 7 | b << 6 | rests >> 1
        else:
            heads[:coded] = (rests >> 1) << 7 | exponents << 2 | b << 1 | (rests & 1)
    else:
        must(patch_bytes == 0 and stream_bytes == [0, 0], "float payload: streams where there is nothing to code")
    width = 2 if wide else 1
    heads[coded:] = np.frombuffer(cursor.take((word_count - coded) * width), dtype="<u2" if wide else "u1")
    return heads


def float_fields(payload, side, chunk_bytes, chunk_offset):
    """3.5.3"""
    width = 4 if side.layout == 3 else 2
    word_count = chunk_bytes // width
    cursor = Cursor(payload)
    heads = float_heads(cursor, side, word_count, chunk_offset // width)
    if side.layout == 1:
        words = heads
    elif side.layout == 2:
        words = heads << 8 | coded_plane(cursor, word_count)
    else:
        high = coded_plane(cursor, word_count).astype(np.int64)
        words = heads << 16 | high << 8 | coded_plane(cursor, word_count)
    cursor.end("float payload")
    return words.astype("<u4" if width == 4 else "<u2").tobytes()
