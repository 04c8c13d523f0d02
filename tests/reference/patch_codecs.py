"""Patch records: section 3.14 of docs/format.md, whose numbers the comments name."""

from dataclasses import dataclass

import numpy as np
from chunk_codecs import coded_plane, planes
from cursor import Cursor, must, xxh3
from nibble_codec import NibbleTables, contexts_and_widths, join, nibble_lanes, nibble_stream, nibble_tables
from patch_predictors import Cast, LowRank, Replay, Same, predictor

SAME, DENSE, SPARSE, DIFFERENCES = range(64, 68)
LAYOUTS = {"BF16": "BF16", "F16": "F16", "F32": "F32", "C64": "F32"}
XOR, MODULO, ORDERED = range(3)
GAPS_AS_PLANE, HIGHEST_RICE, LONG_GAP = 255, 20, 255


@dataclass
class DenseSide:
    """3.14.3, in the head."""

    origin: int
    columns: np.ndarray
    tables: NibbleTables


@dataclass
class PatchSide:
    """3.14.1"""

    base_element: int
    base_bytes: int
    predictor: Same | Cast | Replay | LowRank
    dense: DenseSide | None = None


class Codes:
    """3.14.3: numbers of an adaptive length, bits least significant first."""

    def __init__(self, cursor):
        self.cursor = cursor
        self.held, self.held_bits = 0, 0

    def take(self, count):
        bits = 0
        for place in range(count):
            if self.held_bits == 0:
                self.held, self.held_bits = self.cursor.uint(1), 8
            bits |= (self.held & 1) << place
            self.held >>= 1
            self.held_bits -= 1
        return bits

    def number(self, past):
        total, count = past
        k = 0
        while k < 12 and count << k < total:
            k += 1
        zeros = 0
        while not self.take(1):
            zeros += 1
            must(zeros <= 20, "activities: a code is too long")
        number = self.take(24) if zeros == 20 else zeros << k | self.take(k)
        total, count = total + number, count + 1
        past[:] = [total // 2, count // 2] if count == 16 else [total, count]
        return number


def activities(cursor, count):
    codes = Codes(cursor)
    lengths = [[8, 1], [8, 1]]
    result = np.zeros(count, dtype=np.int64)
    at, zeros = 0, False
    while at < count:
        length = codes.number(lengths[zeros])
        must(length <= count - at and (length > 0 or at == 0), "activities: a run has an impossible length")
        result[at : at + length] = not zeros
        at += length
        zeros = not zeros
    past, mean = [8, 1], 16 * 96
    for i in np.flatnonzero(result):
        z = codes.number(past)
        value = ((mean + 8) >> 4) + (-(z >> 1) - 1 if z & 1 else z >> 1)
        must(1 <= value <= 255, "an activity is out of range")
        result[i] = value
        mean += (16 * value - mean) >> 2
    must(codes.held == 0, "activities: their last byte is not filled up with zeros")
    return result


def dense_side(cursor):
    modes, origin, columns = cursor.uint(1), cursor.uint(1), cursor.uint(4)
    must(modes <= 1, "dense patch: unknown modes")
    must(1 <= columns <= 1 << 20, "dense patch: impossible rows")
    of_columns = activities(cursor, columns) if modes else np.full(columns, 64, dtype=np.int64)
    return DenseSide(origin, of_columns, nibble_tables(cursor))


def patch_side(cursor, dtype_name, element_bytes, element_count, dtypes):
    base_dtype, base_bytes = cursor.uint(2), cursor.uint(8)
    must(base_dtype < len(dtypes), "a base of an unknown dtype")
    base_name, base_bits = dtypes[base_dtype]
    base_element = max(base_bits // 8, 1)
    predicts = predictor(cursor, dtype_name, base_name, element_count)
    must(base_bytes % base_element == 0, "a base that does not end with an element")
    must(not isinstance(predicts, Same) or base_element == element_bytes, "a base that does not fit the patch")
    return PatchSide(base_element, base_bytes, predicts)


def patch_dense(cursor, side, dtype_name):
    """What stands behind it in records with transform 5."""
    flag = cursor.uint(1)
    must(flag <= 1, "a patch with unknown side information")
    if flag:
        must(dtype_name in LAYOUTS, "dense differences of elements that are no floats")
        side.dense = dense_side(cursor)


def ordered(words, width):
    top = words.dtype.type(1 << (8 * width - 1))
    return np.where(words & top != 0, words ^ words.dtype.type((1 << (8 * width - 1)) - 1), words)


def add_differences(how, differences, base, width):
    """3.14.5"""
    z, b = (np.frombuffer(words, dtype=f"<u{width}") for words in (differences, base))
    if how == XOR:
        return (z ^ b).astype(f"<u{width}")
    d = np.where(z & 1 != 0, ~(z >> 1), z >> 1)
    if how == MODULO:
        return (b + d).astype(f"<u{width}")
    return ordered((ordered(b, width) + d).astype(z.dtype), width).astype(f"<u{width}")


def patch_differences(payload, width, predicted):
    cursor = Cursor(payload)
    how = cursor.uint(1)
    must(how <= ORDERED, "an unknown kind of difference")
    return add_differences(how, planes(cursor.take(cursor.left()), width, len(predicted)), predicted, width).tobytes()


def rice_gaps(cursor, k, count):
    data = cursor.take(cursor.left())
    bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little")
    ones = np.flatnonzero(bits)
    at, gaps = 0, []
    for _ in range(count):
        one = np.searchsorted(ones, at)
        must(one < len(ones), "sparse chunk: its gaps are cut off")
        high = int(ones[one]) - at
        at = int(ones[one]) + 1
        must(at + k <= len(bits), "sparse chunk: its gaps are cut off")
        gaps.append(high << k | int(bits[at : at + k] @ (1 << np.arange(k))))
        at += k
    used = -(-at // 8)
    must(not bits[at : 8 * used].any(), "sparse chunk: gaps that are not filled up with zeros")
    cursor.position -= len(data) - used
    return gaps


def plane_gaps(cursor, count):
    size = cursor.uint(4)
    gaps, gap = [], 0
    for byte in coded_plane(cursor, size):
        gap += int(byte)
        if byte != LONG_GAP:
            gaps.append(gap)
            gap = 0
    must(len(gaps) == count, "sparse chunk: not as many gaps as changes")
    return gaps


def sparse(payload, width, predicted):
    """3.14.4"""
    cursor = Cursor(payload)
    how, k, count = cursor.uint(1), cursor.uint(1), cursor.uint(4)
    must(how <= ORDERED and (k <= HIGHEST_RICE or k == GAPS_AS_PLANE), "sparse chunk: unknown gaps or differences")
    words = np.frombuffer(predicted, dtype=f"<u{width}").copy()
    must(1 <= count <= len(words), "sparse chunk: an impossible number of changes")
    gaps = plane_gaps(cursor, count) if k == GAPS_AS_PLANE else rice_gaps(cursor, k, count)
    places = np.cumsum(np.array(gaps) + 1) - 1
    must(places[-1] < len(words), "sparse chunk: a change lies outside")
    values = planes(cursor.take(cursor.left()), width, count * width)
    words[places] = add_differences(how, values, words[places].tobytes(), width)
    return words.tobytes()


def dense(payload, side, layout, predicted, first_word):
    """3.14.3"""
    must(side is not None, "a dense chunk in a patch without the side information")
    width = 4 if layout == "F32" else 2
    base = np.frombuffer(predicted, dtype=f"<u{width}")
    cursor = Cursor(payload)
    stream_bytes, plane_bytes, low_bytes, escape_bytes = (cursor.uint(4) for _ in range(4))
    numbers = np.arange(first_word, first_word + len(base))
    rows, columns = numbers // len(side.columns) - first_word // len(side.columns), numbers % len(side.columns)
    of_rows = activities(cursor, int(rows[-1]) + 1 if len(base) else 0)
    coded = np.flatnonzero(of_rows[rows])
    activity = np.minimum(255, of_rows[rows[coded]] + side.columns[columns[coded]])
    contexts, widths = contexts_and_widths(base[coded], activity, side.origin, layout)
    stream, plane_data, low_data = (cursor.take(size) for size in (stream_bytes, plane_bytes, low_bytes))
    carried_count = min(nibble_lanes(len(coded)), escape_bytes)
    rest = bytes(cursor.take(escape_bytes - carried_count))
    cursor.end("dense chunk")
    symbols, carried = nibble_stream(stream, side.tables, side.tables.table_of_context[contexts], carried_count)
    result = base.copy()
    joined, escapes = join(base[coded], symbols, widths, plane_data, low_data, layout)
    result[coded] = joined
    must(len(escapes) > 0 or escape_bytes == 0, "dense chunk: escapes are left over")
    if len(escapes):
        words = np.frombuffer(planes(carried + rest, width, len(escapes) * width), dtype=base.dtype)
        signs = base[coded[escapes]] & base.dtype.type(1 << (8 * width - 1))
        result[coded[escapes]] = words ^ signs
    return result.tobytes()


def check_base(cursor, side, base, first, count):
    """The base chunk, once its checksum was read and holds."""
    must(base is not None and len(base) == side.base_bytes, "a patch without its base")
    chunk = base[first * side.base_element : (first + count) * side.base_element]
    must(cursor.uint(8) == xxh3(chunk), "the base is not the one that the patch was made from")
    return chunk


def patch_chunk(codec, payload, side, dtype_name, element_bytes, base, first, count):
    """`count` elements from `first` on, which are made from all of `base`."""
    cursor = Cursor(payload)
    predicted = side.predictor.predict(check_base(cursor, side, base, first, count), first)
    predicted = predicted.ljust(count * element_bytes, b"\0")
    rest = cursor.take(cursor.left())
    width = 4 if dtype_name == "C64" else element_bytes
    if codec == SAME:
        must(len(rest) == 0, "a chunk like its base that holds bytes")
        return predicted
    if codec == DENSE:
        return dense(rest, side.dense, LAYOUTS.get(dtype_name), predicted, first * element_bytes // width)
    if codec == SPARSE:
        return sparse(rest, width, predicted)
    must(codec == DIFFERENCES, f"codec {codec} is unknown")
    return patch_differences(rest, width, predicted)
