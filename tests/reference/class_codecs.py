"""Bytes in contexts and words in classes: sections 3.7 and 3.8 of docs/format.md, whose numbers the comments name."""

from dataclasses import dataclass

import chunk_codecs
import numpy as np
from cursor import Cursor, must

LAYOUT_OF_DTYPE = {"BF16": 1, "F16": 2, "F32": 3, "C64": 3}
LAYOUT_OF_DTYPE.update(dict.fromkeys(("F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 4))
WORD_BYTES = {1: 2, 2: 2, 3: 4, 4: 1}
HEAD_BYTES = {1: 2, 2: 1, 3: 2, 4: 1}
LOW_PLANES = {1: 0, 2: 1, 3: 2, 4: 0}

# 3.7: bytes in contexts -----------------------------------------------------------------------------------------------


class Bits:
    """Bits of a cursor's bytes, least significant first; takes bytes only as it needs them."""

    def __init__(self, cursor):
        self.cursor, self.held, self.count = cursor, 0, 0

    def take(self, count):
        while self.count < count:
            self.held |= self.cursor.uint(1) << self.count
            self.count += 8
        value = self.held & ((1 << count) - 1)
        self.held >>= count
        self.count -= count
        return value


def rice(bits, k):
    zeros = 0
    while bits.take(1) == 0:
        zeros += 1
        must(zeros <= 20, "frequencies: a code without an end")
    return bits.take(14) if zeros == 20 else zeros << k | bits.take(k)


@dataclass
class Tables:
    """3.7.1: for each context and slot the value, its frequency and the slot's place in it."""

    precision: int
    value: np.ndarray
    frequency: np.ndarray
    place: np.ndarray
    commonest: list


def frequency_tables(cursor):
    count, precision = cursor.uint(1), cursor.uint(1)
    must(1 <= count <= 64 and 8 <= precision <= 14, "frequencies: count or precision out of bounds")
    bits = Bits(cursor)
    tables = []
    for _ in range(count):
        first, last = bits.take(8), bits.take(8)
        must(first <= last, "frequencies: the first value is behind the last")
        relative = bits.take(1) if tables else 0
        table = [0] * 256
        left, total, number = 1 << precision, 8, 1
        for value in range(first, last):
            k = 0
            while k < 12 and number << k < total:
                k += 1
            z = rice(bits, k)
            total, number = total + z, number + 1
            if number == 16:
                total, number = total >> 1, number >> 1
            before = tables[-1][value] if relative else table[value - 1] if value > first else 0
            table[value] = before + (-(z >> 1) - 1 if z & 1 else z >> 1)
            must(0 <= table[value] <= min(left, 4096), "frequencies: out of range")
            left -= table[value]
        must(left <= 4096, "frequencies: one is over 4096")
        table[last] = left
        tables.append(table)
    must(bits.held == 0, "frequencies: bits are left over")
    values, frequencies, places = [], [], []
    for table in tables:
        f = np.array(table)
        value = np.repeat(np.arange(256), f)
        values.append(value)
        frequencies.append(f[value])
        places.append(np.arange(1 << precision) - (np.cumsum(f) - f)[value])
    return Tables(precision, np.array(values), np.array(frequencies), np.array(places), tables)


def context_stream(data, contexts, count, carried, tables):
    """3.7.2: `count` bytes and, where `carried`, those that were in the states."""
    lanes = 4 if count < 8192 else 64
    cursor = Cursor(data)
    states = np.frombuffer(cursor.take(4 * lanes), dtype="<u4").astype(np.int64)
    rest = cursor.take(cursor.left())
    must(len(rest) % 2 == 0, "coded bytes: half a word")
    words = np.frombuffer(rest, dtype="<u2").astype(np.int64)
    values = np.empty(count, dtype=np.uint8)
    mask = (1 << tables.precision) - 1
    at = 0
    for begin in range(0, count, lanes):
        n = min(lanes, count - begin)
        x = states[:n]
        slot = x & mask
        context = contexts[begin : begin + n] if contexts is not None else 0
        values[begin : begin + n] = tables.value[context, slot]
        x = tables.frequency[context, slot] * (x >> tables.precision) + tables.place[context, slot]
        low = np.flatnonzero(x < 1 << 16)
        must(at + len(low) <= len(words), "coded bytes: the stream is too short")
        x[low] = x[low] << 16 | words[at : at + len(low)]
        at += len(low)
        states[:n] = x
    must(at == len(words), "coded bytes: the stream is too long")
    if not carried:
        must(np.all(states == 1 << 16), "coded bytes: a state does not end as it must")
        return values, b""
    must(np.all(states >> 16 == 1), "coded bytes: a state does not end as it must")
    return values, (states & 0xFFFF).astype("<u2").tobytes()


def coded_bytes(data, count):
    """3.7.3: plane method 4."""
    carried = 128 if count >= 8320 else 8 if 16 <= count < 8200 else 0
    cursor = Cursor(data)
    tables = frequency_tables(cursor)
    must(len(tables.value) == 1, "coded bytes: more than one context")
    values, end = context_stream(cursor.take(cursor.left()), None, count - carried, carried > 0, tables)
    return np.concatenate([values, np.frombuffer(end, dtype=np.uint8)])


# 3.8: words in classes ------------------------------------------------------------------------------------------------


@dataclass
class ClassSide:
    """3.8.1: the head's side information; `tables` is None for chunks of other records."""

    layout: int
    rows: bool = False
    columns: int = 0
    context_bits: int = 0
    column_classes: np.ndarray = None
    tables: Tables = None


def classes(cursor, count):
    biased = chunk_codecs.coded_plane(cursor, count).astype(np.int64)
    must(not count or biased.max() < 128, "a class is out of range")
    return biased - 64


def class_side(data, dtype_name):
    cursor = Cursor(data)
    layout, modes, context_bits = cursor.uint(1), cursor.uint(1), cursor.uint(1)
    cursor.uint(1)  # the base, which each chunk has again
    columns = cursor.uint(4)
    must(LAYOUT_OF_DTYPE.get(dtype_name) == layout, "classes: the layout is not the dtype's")
    must(modes <= 3 and context_bits <= 4, "classes: unknown modes")
    must(1 <= columns <= 1 << 20 if modes else columns == 0, "classes: columns out of bounds")
    column_classes = classes(cursor, columns) if modes & 2 else None
    tables = frequency_tables(cursor)
    must(len(tables.value) == 1 << context_bits, "classes: not as many tables as contexts")
    cursor.end("classes")
    return ClassSide(layout, bool(modes & 1), columns, context_bits, column_classes, tables)


def packed(data, count, bits):
    """3.8.2"""
    values = np.empty(count, dtype=np.int64)
    at = 0
    for begin in range(0, count, 512):
        n = min(512, count - begin)
        width = (n * bits + 7) // 8
        element = np.arange(n)
        values[begin : begin + n] = data[at + element % width] >> (bits * (element // width)) & ((1 << bits) - 1)
        at += width
    return values


def packed_bytes(count, bits):
    return count // 512 * (64 * bits) + (count % 512 * bits + 7) // 8


def word_classes(cursor, side, word_count, first_word):
    """Contexts and shifts of all words."""
    words = first_word + np.arange(word_count)
    total = np.zeros(word_count, dtype=np.int64)
    if side.rows:
        first_row, last_row = first_word // side.columns, (first_word + word_count - 1) // side.columns
        total += classes(cursor, last_row - first_row + 1)[words // side.columns - first_row]
    if side.column_classes is not None:
        total += side.column_classes[words % side.columns]
    if side.layout == 4:
        middle, last = (1 << side.context_bits) // 2, (1 << side.context_bits) - 1
        return np.clip(total + middle, 0, last), np.zeros_like(total)
    return total & ((1 << side.context_bits) - 1), total >> side.context_bits


def patch_heads(data, heads, width):
    cursor = Cursor(data)
    word = 0
    while cursor.left():
        gap = cursor.uint(2)
        word += gap
        if gap == 0xFFFF:
            continue
        must(word < len(heads), "a patch lies outside")
        heads[word] = cursor.uint(width)


def in_classes(payload, side, dtype_name, chunk_bytes, chunk_offset):
    """3.8.3"""
    side = side or ClassSide(LAYOUT_OF_DTYPE[dtype_name])
    layout, width = side.layout, WORD_BYTES[side.layout]
    word_count = chunk_bytes // width
    cursor = Cursor(payload)
    flags, base = cursor.uint(1), cursor.uint(1)
    must(flags <= 7, "class payload: unknown flags")
    must(not flags & 4 or flags & 2, "class payload: signs of zeros without zeros")
    cursor.zeros(2, "class payload")
    patch_bytes = cursor.uint(4)
    tables = frequency_tables(cursor) if flags & 1 else side.tables
    must(tables is not None and len(tables.value) == 1 << side.context_bits, "class payload: no tables that fit")
    contexts, shifts = word_classes(cursor, side, word_count, chunk_offset // width)
    coded = np.ones(word_count, dtype=bool)
    if flags & 2:
        fours = chunk_codecs.coded_plane(cursor, (word_count + 3) // 4)
        must(fours.max() < 16, "class payload: a mask of more than four bits")
        bits = np.unpackbits(fours[:, None], axis=1, bitorder="little")[:, :4].reshape(-1)
        must(not bits[word_count:].any(), "class payload: the mask is longer than the chunk")
        coded = bits[:word_count].astype(bool)
    count = int(coded.sum())
    contexts, shifts = contexts[coded], shifts[coded]

    sign_count = word_count if flags & 4 else count
    sign_bytes = packed_bytes(sign_count, 1)
    carried = 2 * (4 if count < 8192 else 64)
    if sign_bytes < 2 * carried:
        carried = 0
    sign_plane = chunk_codecs.coded_plane(cursor, sign_bytes - carried)
    mantissa = 0
    if HEAD_BYTES[layout] == 2:
        mantissa = packed(chunk_codecs.coded_plane(cursor, packed_bytes(count, 4)), count, 4)
        mantissa = mantissa | packed(chunk_codecs.coded_plane(cursor, packed_bytes(count, 1)), count, 1) << 4
    low = [chunk_codecs.coded_plane(cursor, count).astype(np.int64) for _ in range(LOW_PLANES[layout])]
    patches = cursor.take(patch_bytes)
    stream = cursor.take(cursor.left())
    used = contexts if side.context_bits else None
    symbols, end = context_stream(stream, used, count, carried > 0, tables)
    symbols = symbols.astype(np.int64)
    signs = packed(np.concatenate([sign_plane, np.frombuffer(end, dtype=np.uint8)]), sign_count, 1)

    own_signs = signs[coded] if flags & 4 else signs
    exponents = (symbols >> 2) + shifts + base
    if layout == 4:
        heads = own_signs << 7 | symbols & 127
    elif layout == 2:
        heads = own_signs << 7 | (exponents & 31) << 2 | symbols & 3
    else:
        heads = own_signs << 15 | (exponents & 255) << 7 | (symbols & 3) << 5 | mantissa
    patch_heads(patches, heads, HEAD_BYTES[layout])
    for plane in low:
        heads = heads << 8 | plane
    words = np.zeros(word_count, dtype=np.int64)
    words[coded] = heads
    if flags & 4:
        top = 8 * width - 1
        words = words & ~(1 << top) | signs << top
    return words.astype(f"<u{width}").tobytes()
