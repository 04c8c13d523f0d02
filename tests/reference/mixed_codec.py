"""Codec 6, context mixing: section 3.12 of docs/format.md, whose numbers the comments name. Integers only."""

from dataclasses import dataclass

import numpy as np
from chunk_codecs import coded_plane
from cursor import Cursor, must

# 3.12.1: exponent bits, mantissa bits, bytes of a word, low planes.
LAYOUTS = {
    "BF16": (8, 7, 2, 0),
    "F16": (5, 10, 2, 0),
    "F32": (8, 7, 4, 2),
    "C64": (8, 7, 4, 2),
    "F8_E4M3": (4, 3, 1, 0),
    "F8_E4M3FNUZ": (4, 3, 1, 0),
    "F8_E5M2": (5, 2, 1, 0),
    "F8_E5M2FNUZ": (5, 2, 1, 0),
}


def clamp(value, low, high):
    return max(low, min(high, value))


def signed(value):
    """A number of 32 bits in two's complement."""
    return (value & 0xFFFFFFFF) - ((value & 0x80000000) << 1)


# 3.12.3: tables -------------------------------------------------------------------------------------------------------

LOWER_KNOTS = [22, 36, 60, 98, 162, 267, 439, 720, 1179, 1921, 3108, 4971, 7812, 11955, 17625, 24743]
UPPER_KNOTS = [40793, 47911, 53581, 57724, 60565, 62428, 63615, 64357, 64816, 65097, 65269, 65374, 65438, 65476, 65500]
KNOTS = [*LOWER_KNOTS, 32768, *UPPER_KNOTS, 65514]


def squash(x):
    i, f = divmod(x + 2048, 128)
    return clamp((KNOTS[i] * (128 - f) + KNOTS[i + 1] * f + 64) >> 7, 32, 65504)


SQUASH = [squash(x) for x in range(-2048, 2048)]


def make_stretch():
    table, x = [], -2047
    for p in range(4096):
        while x < 2047 and SQUASH[x + 2048] < 16 * p + 8:
            x += 1
        table.append(x)
    return table


STRETCH = make_stretch()
RATES = [655360 // (10 * n + 20) for n in range(1024)]
INVERSES = [65536, 62757, 60097, 57549, 55109, 52773, 50535, 48393, 46341, 44376, 42495, 40693, 38968, 37316, 35734]
INVERSES.append(34219)
LEVEL_STEPS = [2, 5, 9, 14, 20, 28, 40, 56, 80, 120]


# 3.12.2: the arithmetic coder -----------------------------------------------------------------------------------------


class BitDecoder:
    def __init__(self, data):
        self.data = data
        self.used = 0
        self.range = (1 << 64) - 1
        self.code = self.next() << 32
        self.code |= self.next()

    def next(self):
        word = bytes(self.data[self.used : self.used + 4])
        self.used += 4
        must(len(word) == 4, "mixed: the stream is too short")
        return int.from_bytes(word, "big")

    def bit(self, one, _=None):
        bound = (self.range >> 16) * one
        result = self.code < bound
        if result:
            self.range = bound
        else:
            self.code -= bound
            self.range -= bound
        if self.range < 1 << 32:
            self.range <<= 32
            self.code = self.code << 32 | self.next()
        return int(result)

    def end(self):
        must(self.used == len(self.data), "mixed: the stream is too long")


# 3.12.3: probabilities ------------------------------------------------------------------------------------------------


class Slots(dict):
    """Slots by any key: probability of 22 bits, number of uses."""

    def __missing__(self, key):
        self[key] = slot = [1 << 21, 0]
        return slot


def learn(slot, bit):
    target = (1 << 22) - 1 if bit else 0
    slot[0] += (target - slot[0]) * RATES[slot[1]] >> 16
    slot[1] = min(slot[1] + 1, 1023)


class Weights(dict):
    def __missing__(self, key):
        self[key] = weights = [22938] * 3
        return weights


def mixed_bit(coder, slots, weights, bit=None):
    inputs = [STRETCH[slot[0] >> 10] for slot in slots]
    mix = clamp(sum(x * w for x, w in zip(inputs, weights, strict=True)) >> 16, -2047, 2047)
    one = SQUASH[mix + 2048]
    bit = coder.bit(one, bit)
    error = (65535 if bit else 0) - one
    for i, x in enumerate(inputs):
        weights[i] = signed(weights[i] + (x * error + 16384 >> 15))
    for slot in slots:
        learn(slot, bit)
    return bit


def mean_bit(coder, slots, bit=None):
    bit = coder.bit(clamp(slots[0][0] + slots[1][0] >> 7, 32, 65504), bit)
    for slot in slots:
        learn(slot, bit)
    return bit


def single_bit(coder, slot, bit=None):
    bit = coder.bit(clamp(slot[0] >> 6, 32, 65504), bit)
    learn(slot, bit)
    return bit


# 3.12.4, 3.12.5: the model --------------------------------------------------------------------------------------------


@dataclass
class Setting:
    """The payload's first fields, and the fields of a word."""

    predicts: bool
    modelled_bits: int
    base: int
    scale: int
    columns: int
    first_column: int
    exponent_bits: int
    mantissa_bits: int

    def raw_low_bits(self):
        return self.mantissa_bits - self.modelled_bits

    def raw_bits(self):
        return self.raw_low_bits() + (not self.predicts)

    def sign_at(self):
        return self.exponent_bits + self.mantissa_bits


class Model:
    def __init__(self, setting, coder):
        self.setting, self.coder = setting, coder
        self.slots, self.weights = Slots(), Weights()
        self.column = [[0, 0, 0, 0] for _ in range(setting.columns)]  # scale, mean, value above, uses
        self.row_start = self.row = self.row_uses = 0
        self.before = [0] * 6
        self.filter = [0] * 8

    def value(self, word):
        s = self.setting
        exponent = word >> s.mantissa_bits & (1 << s.exponent_bits) - 1
        digits = word & (1 << s.mantissa_bits) - 1 | (exponent != 0) << s.mantissa_bits
        shift = clamp(max(exponent, 1) - s.base + 18, 0, 24)
        value = digits << 10 - s.mantissa_bits << shift >> 16
        return -value if word >> s.sign_at() & 1 else value

    def words(self, words):
        """Codes words: a decoder's hold their raw bits, an encoder's are whole. Returns them whole."""
        j = self.setting.first_column
        whole = []
        for word in words:
            whole.append(self.word(int(word), j))
            j += 1
            if j == self.setting.columns:
                j = 0
                self.row_start += self.row - self.row_start >> 3
                self.row, self.row_uses = self.row_start, 0
                self.before = [0] * 6
        return whole

    def word(self, word, j):
        column = self.column[j]
        scale = clamp(self.setting.scale + (self.row + column[0] >> 8), 256, 4607)
        octave, phase, inverse = scale >> 8, scale >> 6 & 3, INVERSES[scale >> 4 & 15]
        taps, predicted = [], 0
        if self.setting.predicts:
            taps = [clamp(x >> 5, -8191, 8191) for x in [*self.before, column[2], column[1] >> 4]]
            products = (tap * clamp(w >> 11, -32768, 32767) for tap, w in zip(taps, self.filter, strict=True))
            predicted = clamp(sum(products) >> 8, -(1 << 19), 1 << 19)
        word = self.fields(word, j, octave, phase, inverse, predicted)

        value = self.value(word)
        error = value - predicted
        if self.setting.predicts:
            column[1] += (16 * value - column[1]) * (65536 // min(column[3] + 6, 200)) >> 16
            scaled = clamp(error << 9 >> octave, -2047, 2047)
            for k, tap in enumerate(taps):
                step = scaled * clamp(tap << 14 >> octave, -2047, 2047) >> 6
                self.filter[k] = signed(self.filter[k] + step)
            self.before = [value, *self.before[:5]]
            column[2] = value
        step = 23 * (min(abs(error) * inverse >> octave + 4, 24576) - 4096)
        limit = 1 << 20
        self.row = clamp(self.row + (step * (65536 // min(self.row_uses + 12, 200)) >> 16), -limit, limit)
        column[0] = clamp(column[0] + (step * (65536 // min(column[3] + 20, 1000)) >> 16), -limit, limit)
        self.row_uses += 1
        column[3] += 1
        return word

    def fields(self, word, j, octave, phase, inverse, predicted):
        s = self.setting
        attitude = 0
        if s.predicts:
            t = min(abs(predicted) * inverse >> octave + 11, 127)
            level = sum(t >= step for step in LEVEL_STEPS)
            negative = int(predicted < 0)
            slots = [self.slots[0, level, phase, 63], self.slots[1, j % 1024, 63], self.slots[2, negative]]
            agrees = mixed_bit(self.coder, slots, self.weights["sign", level], int(word >> s.sign_at() & 1 == negative))
            sign = negative if agrees else 1 - negative
            word = word & ~(1 << s.sign_at()) | sign << s.sign_at()
            attitude = level if agrees or level == 0 else 10 + level

        def slots_of(node, *by_value):
            return [self.slots[0, attitude, phase, node], self.slots[1, j % 1024, node], self.slots[by_value]]

        mask = (1 << s.exponent_bits) - 1
        exponent, kind = self.exponent(word >> s.mantissa_bits & mask, octave, slots_of)
        exponent &= mask
        word = word & ~(mask << s.mantissa_bits) | exponent << s.mantissa_bits
        prefix = 0
        for i in range(s.modelled_bits):
            node = [28 + kind, 35 + 2 * kind + prefix, 49 + 4 * kind + prefix if kind < 3 else 61][i]
            local, _, by_value = slots_of(node, 4, exponent, (1 << i) + prefix)
            at = s.mantissa_bits - 1 - i
            bit = mean_bit(self.coder, [local, by_value], word >> at & 1)
            word = word & ~(1 << at) | bit << at
            prefix = 2 * prefix + bit
        return word

    def exponent(self, exponent, octave, slots_of):
        """The exponent, or what is congruent to it, and the class of the word."""
        expected = clamp(self.setting.base + octave - 12, 0, (1 << self.setting.exponent_bits) - 1)

        def decide(node, e, which, bit):
            return mixed_bit(self.coder, slots_of(node, 3, e % 256, which), self.weights[node], int(bit))

        if decide(0, expected, 0, exponent >= expected):
            for k in range(12):
                if not decide(1 + k, expected + k, 1, exponent > expected + k):
                    return expected + k, min(k, 3)
            return self.escape(exponent), 3
        for k in range(14):
            if not decide(14 + k, expected - 1 - k, 2, exponent < expected - 1 - k):
                return expected - 1 - k, 4 + min(k, 2)
        return self.escape(exponent), 6

    def escape(self, exponent):
        node = 1
        for bit in reversed(range(self.setting.exponent_bits)):
            node = 2 * node + single_bit(self.coder, self.slots[5, node], exponent >> bit & 1)
        return node


# 3.12.1: the payload --------------------------------------------------------------------------------------------------


def mixed(payload, dtype_name, chunk_bytes):
    must(dtype_name in LAYOUTS, "a mixed frame in a record without words for it")
    exponent_bits, mantissa_bits, word_bytes, low_planes = LAYOUTS[dtype_name]
    cursor = Cursor(payload)
    flags, modelled_bits, base = cursor.uint(1), cursor.uint(1), cursor.uint(1)
    must(flags <= 1, "mixed: unknown flags")
    must(modelled_bits <= min(3, mantissa_bits), "mixed: too many mantissa bits are modelled")
    cursor.zeros(1, "mixed")
    setting = Setting(
        bool(flags),
        modelled_bits,
        base,
        cursor.uint(2),
        cursor.uint(4),
        cursor.uint(4),
        exponent_bits,
        mantissa_bits,
    )
    must(setting.raw_bits() <= 8, "mixed: too few mantissa bits are modelled")
    must(1 <= setting.columns <= 1 << 18, "mixed: columns out of bounds")
    must(setting.first_column < setting.columns, "mixed: the first column is not in the row")
    count = chunk_bytes // word_bytes
    raw = coded_plane(cursor, count).astype(np.int64)
    must(count == 0 or int(raw.max()) < 1 << setting.raw_bits(), "mixed: bits that are not raw")
    low = [coded_plane(cursor, count).astype(np.int64) for _ in range(low_planes)]
    low_bits = setting.raw_low_bits()
    coder = BitDecoder(cursor.take(cursor.left()))
    words = (raw & (1 << low_bits) - 1) | raw >> low_bits << setting.sign_at()
    words = np.array(Model(setting, coder).words(words), dtype=np.int64)
    coder.end()
    for plane in low:
        words = words << 8 | plane
    return words.astype(f"<u{word_bytes}").tobytes()
