"""Predictors of patches: section 3.14.2 of docs/format.md."""

import struct

import numpy as np
from chunk_codecs import coded_plane
from cursor import must
from lossy_codecs import bf16_values, f16_values, to_elements

NONE, CAST, REPLAY, LOW_RANK = 0, 1, 2, 3
FLOATS = ("F64", "F32", "F16", "BF16")
LOW_RANK_FLOATS = FLOATS[1:]
ELEMENT_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
EXPONENT = np.uint32(0x7F800000)
MOST_STEPS, MOST_RANK, MOST_COLUMNS, MOST_NUMBERS = 4096, 64, 1 << 20, 1 << 20


def f32_values(data, dtype_name):
    """The elements, read as F32."""
    if dtype_name == "BF16":
        return bf16_values(np.frombuffer(data, dtype="<u2"))
    if dtype_name == "F16":
        return f16_values(np.frombuffer(data, dtype="<u2"))
    if dtype_name == "F64":
        with np.errstate(over="ignore", invalid="ignore"):
            return np.frombuffer(data, dtype="<f8").astype(np.float32)
    return np.frombuffer(data, dtype="<f4")


def elements(values, dtype_name):
    """3.6, "From F32", and what NaN become."""
    words = np.frombuffer(to_elements(values, dtype_name), dtype=np.uint8).copy()
    if dtype_name in ("F16", "BF16"):
        words = words.view("<u2")
        bits = values.view(np.uint32)
        quiet = bits >> 16 | 0x40 if dtype_name == "BF16" else bits >> 16 & 0x8000 | 0x7E00 | bits >> 13 & 0x3FF
        words = np.where(np.isnan(values), quiet.astype("<u2"), words)
    return words.tobytes()


class Cast:
    def __init__(self, cursor, dtype_name, base_dtype_name):
        truncated = cursor.uint(1)
        must(dtype_name in FLOATS and base_dtype_name in FLOATS and dtype_name != base_dtype_name, "no cast of these")
        must(truncated == 0 or (truncated == 1 and dtype_name == "BF16"), "a cast that is cut")
        self.truncated, self.names = truncated == 1, (base_dtype_name, dtype_name)

    def predict(self, base, _first_element):
        values = f32_values(base, self.names[0])
        if self.truncated:
            return (values.view(np.uint32) >> 16).astype("<u2").tobytes()
        return elements(values, self.names[1])


class Replay:
    def __init__(self, cursor, dtype_name, base_dtype_name):
        must(dtype_name == base_dtype_name == "F32", "multiplications of other elements than F32")
        self.runs = []
        for _ in range(cursor.uint(1)):
            form, steps = cursor.uint(1), cursor.uint(2)
            must(form in (0, 1), f"form {form} of a factor is unknown")
            factor = 1 - cursor.uint(2) * 2.0**-24 if form == 0 else struct.unpack("<d", cursor.take(8))[0]
            must(steps > 0 and 2.0**-8 <= factor <= 2.0**8, "a run without steps or with a wild factor")
            self.runs.append((steps, factor))
        must(1 <= sum(steps for steps, _ in self.runs) <= MOST_STEPS, "no multiplications or too many")

    def predict(self, base, _first_element):
        values = np.frombuffer(base, dtype="<f4").copy()
        special = values.view(np.uint32) & EXPONENT == EXPONENT
        before = values.view(np.uint32).copy()
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for steps, factor in self.runs:
                for _ in range(steps):
                    values = (values.astype(np.float64) * factor).astype(np.float32)
        return np.where(special, before, values.view(np.uint32)).astype("<u4").tobytes()


def numbers(cursor, count):
    low, high = (coded_plane(cursor, count).astype(np.int64) for _ in range(2))
    z = high << 8 | low
    return np.where(z & 1, -(z + 1 >> 1), z >> 1)


class LowRank:
    def __init__(self, cursor, dtype_name, base_dtype_name, element_count):
        must(dtype_name in LOW_RANK_FLOATS and base_dtype_name in LOW_RANK_FLOATS, "low rank: not these dtypes")
        rank, self.columns = cursor.uint(2), cursor.uint(4)
        self.scale = np.frombuffer(cursor.take(4), dtype="<f4")[0]
        must(1 <= rank <= MOST_RANK and 1 <= self.columns <= MOST_COLUMNS, "low rank: an impossible rank or row length")
        must(2.0**-126 <= self.scale <= 2.0**64, "low rank: a wild scale")
        rows = -(-element_count // self.columns)
        must(rank * (rows + self.columns) <= MOST_NUMBERS, "low rank: the factors are too large")
        self.left = numbers(cursor, rank * rows).reshape(rank, rows)
        self.right = numbers(cursor, rank * self.columns).reshape(rank, self.columns)
        self.names = (base_dtype_name, dtype_name)

    def predict(self, base, first_element):
        values = f32_values(base, self.names[0])
        at = np.arange(first_element, first_element + len(values))
        i, j = at // self.columns, at % self.columns
        sums = (self.left[:, i] * self.right[:, j]).sum(axis=0).astype(np.uint32).view(np.int32)
        special = values.view(np.uint32) & EXPONENT == EXPONENT
        with np.errstate(over="ignore", invalid="ignore"):
            lowered = values - sums.astype(np.float32) * self.scale
        bits = np.where(special, values.view(np.uint32), lowered.view(np.uint32)).astype(np.uint32)
        return elements(bits.view(np.float32), self.names[1])


class Same:
    def predict(self, base, _first_element):
        return bytes(base)


def predictor(cursor, dtype_name, base_dtype_name, element_count):
    """Reads a predictor. Its `predict(base bytes, number of the first element)` gives the prediction of that many."""
    kind = cursor.uint(1)
    must(kind <= LOW_RANK, f"predictor {kind} is unknown")
    if kind == CAST:
        return Cast(cursor, dtype_name, base_dtype_name)
    if kind == REPLAY:
        return Replay(cursor, dtype_name, base_dtype_name)
    if kind == LOW_RANK:
        return LowRank(cursor, dtype_name, base_dtype_name, element_count)
    return Same()
