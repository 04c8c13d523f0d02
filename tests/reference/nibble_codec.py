"""Dense differences: section 3.14.3 of docs/format.md. Contexts, symbols, bits, tables and streams, not the payload."""

from dataclasses import dataclass

import class_codecs
import numpy as np
from cursor import Cursor, must

EXPONENT = {"BF16": (7, 255), "F16": (10, 31), "F32": (23, 255)}  # shift and mask
WORD_BITS = {"BF16": 16, "F16": 16, "F32": 32}
ESCAPE = 15
LEAST = np.array([0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 0])
FROM_SYMBOL = [4, 6, 8, 10, 12, 14, 14]  # bit j of m stands in the planes from this symbol on
GROUP = 64


@dataclass
class NibbleTables:
    """For each table and slot the symbol, its frequency and the slot's place in it; for each context its table."""

    table_of_context: np.ndarray
    symbol: np.ndarray
    frequency: np.ndarray
    place: np.ndarray


def nibble_tables(cursor):
    starts = cursor.uint(8)
    wide = class_codecs.frequency_tables(cursor)
    must(wide.precision == 8, "tables of nibbles: frequencies not out of 256")
    must(starts & 1 == 0, "tables of nibbles: there is no context before the first")
    must(len(wide.commonest) == starts.bit_count() + 1 <= 16, "tables of nibbles: their number is not that of the runs")
    symbols, frequencies, places = [], [], []
    for table in wide.commonest:
        must(not any(table[16:]) and 1 <= table[0] <= 255, "tables of nibbles: a frequency that no nibble may have")
        f = np.array(table[15::-1])  # 15 first
        rank = np.repeat(np.arange(16), f)
        symbols.append(15 - rank)
        frequencies.append(f[rank])
        places.append(np.arange(256) - (np.cumsum(f) - f)[rank])
    of_context = np.cumsum([starts >> context & 1 for context in range(64)])
    return NibbleTables(of_context, np.array(symbols), np.array(frequencies), np.array(places))


def nibble_lanes(count):
    return 4 if count < 8192 else 128


def nibble_stream(data, tables, numbers, carried_count):
    """Symbols, each in its table of the numbers `numbers`, and the `carried_count` bytes that were in the states."""
    count, lanes = len(numbers), nibble_lanes(len(numbers))
    cursor = Cursor(data)
    states = np.frombuffer(cursor.take(2 * lanes), dtype="<u2").astype(np.int64)
    rest = cursor.bytes_array(cursor.left()).astype(np.int64)
    symbols = np.empty(count, dtype=np.uint8)
    at = 0
    for begin in range(0, count, lanes):
        n = min(lanes, count - begin)
        table, slot = numbers[begin : begin + n], states[:n] & 255
        symbols[begin : begin + n] = tables.symbol[table, slot]
        x = tables.frequency[table, slot] * (states[:n] >> 8) + tables.place[table, slot]
        low = np.flatnonzero(x < 256)
        must(at + len(low) <= len(rest), "coded nibbles: the stream is too short")
        x[low] = x[low] << 8 | rest[at : at + len(low)]
        at += len(low)
        states[:n] = x
    must(at == len(rest), "coded nibbles: the stream is too long")
    must(np.all(states >> 8 == 1), "coded nibbles: a state does not end as it must")
    must(carried_count <= lanes and not np.any(states[carried_count:] & 255), "coded nibbles: a byte in an empty state")
    return symbols, (states[:carried_count] & 255).astype(np.uint8).tobytes()


def contexts_and_widths(base, activities, origin, layout):
    shift, mask = EXPONENT[layout]
    octaves = np.clip((base.astype(np.int64) >> shift & mask) - origin, 0, 47)
    scale = np.maximum(0, activities.astype(np.int64) - 64 - 4 * octaves)
    if layout == "BF16":
        return np.minimum(scale, 63), np.zeros(len(base), dtype=np.int64)
    return np.where(scale < 48, scale, 48 + scale % 4), np.clip(scale // 4 - 11, 0, 24)


class BitStream:
    """Bits of whole bytes, least significant first."""

    def __init__(self, data):
        self.bits = np.unpackbits(np.frombuffer(data, dtype=np.uint8), bitorder="little").astype(np.int64)
        self.at = 0

    def take(self, count):
        must(self.at + count <= len(self.bits), "dense chunk: bits are missing")
        self.at += count
        return self.bits[self.at - count : self.at]

    def end(self):
        left = self.bits[self.at :]
        must(len(left) < 8 and not left.any(), "dense chunk: bits are left over")


def ordered(words, layout):
    top = 1 << (WORD_BITS[layout] - 1)
    return np.where(words & top, words ^ (top - 1), words)


def magnitudes(symbols, widths, planes, low):
    """|d| and whether d is negative, for each word; 0 for escapes."""
    m, negative = LEAST[symbols], np.zeros(len(symbols), dtype=bool)
    coded = symbols != ESCAPE
    for begin in range(0, len(symbols), GROUP):
        group = slice(begin, min(begin + GROUP, len(symbols)))
        for bit, first in enumerate(FROM_SYMBOL):
            where = begin + np.flatnonzero(coded[group] & (symbols[group] >= first))
            m[where] += planes.take(len(where)) << bit
        where = begin + np.flatnonzero(coded[group] & ((symbols[group] > 0) | (widths[group] > 0)))
        negative[where] = planes.take(len(where))
    size = m << widths
    for word in np.flatnonzero(coded & (widths > 0)):
        size[word] |= int(low.take(widths[word]) @ (1 << np.arange(widths[word])))
    size[~coded] = 0
    return size, negative


def join(base, symbols, widths, plane_bytes, low_bytes, layout):
    """The words, those that escaped as their base, and the numbers of these."""
    planes, low = BitStream(plane_bytes), BitStream(low_bytes)
    size, negative = magnitudes(symbols.astype(np.int64), widths, planes, low)
    planes.end()
    low.end()
    base = base.astype(np.int64)
    moved = ordered(base, layout) + np.where(negative, -size, size)
    words = ordered(moved & ((1 << WORD_BITS[layout]) - 1), layout)
    return words.astype(f"<u{WORD_BITS[layout] // 8}"), np.flatnonzero(symbols == ESCAPE)
