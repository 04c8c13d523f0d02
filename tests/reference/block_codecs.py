"""Records of quantised blocks, field by field: section 3.11 of docs/format.md, whose numbers the comments name."""

import numpy as np
from chunk_codecs import coded_plane
from cursor import Cursor, must

# 3.11.1: streams ------------------------------------------------------------------------------------------------------


class Field:
    """Bytes of a stream, each a list of pieces (byte of the block, its lowest bit, bits, bit of the stream's byte)."""

    def __init__(self, cells):
        self.cells = cells

    def bits(self, first, last=None):
        last = first if last is None else last
        return Field([[(byte, first, last - first + 1, 0)] for ((byte, _, _, _),) in self.cells])

    def __add__(self, other):
        return Field(self.cells + other.cells)

    def __or__(self, other):
        must(len(self.cells) == len(other.cells), "fields of different sizes")
        return Field([a + b for a, b in zip(self.cells, other.cells, strict=True)])

    def __lshift__(self, count):
        return Field([[(byte, low, bits, at + count) for byte, low, bits, at in cell] for cell in self.cells])


def at(first, count, step=1):
    return Field([[(first + step * i, 0, 8, 0)] for i in range(count)])


def bit_string(first, count):
    return Field([[(first + i // 8, i % 8, 1, 0)] for i in range(8 * count)])


def number(first, count=2):
    return [at(first + i, 1) for i in range(count)]


def join(fields):
    whole = Field([])
    for field in fields:
        whole = whole + field
    return whole


def nibbles(first, count):
    return at(first, count).bits(0, 3) + at(first, count).bits(4, 7)


SIMPLE = [*number(0), at(2, 16)]
SCALES_OF_K = [
    at(4, 4).bits(0, 5) + (at(12, 4).bits(0, 3) | at(4, 4).bits(6, 7) << 4),
    at(8, 4).bits(0, 5) + (at(12, 4).bits(4, 7) | at(8, 4).bits(6, 7) << 4),
]
QUANTS_OF_Q3_K = join(
    at(32 + 32 * h, 32).bits(4 * p, 4 * p + 1)
    | at(0, 32).bits(4 * h + 2 * p) << 2
    | at(32 + 32 * h, 32).bits(4 * p + 2, 4 * p + 3) << 3
    | at(0, 32).bits(4 * h + 2 * p + 1) << 5
    for h in range(2)
    for p in range(2)
)
QUANTS_OF_Q5_K = join(
    at(48 + 32 * (r // 2), 32).bits(4 * (r % 2), 4 * (r % 2) + 3) | at(16, 32).bits(r) << 4 for r in range(8)
)
QUANTS_OF_Q6_K = join(
    at(64 * h + 32 * (r % 2), 32).bits(4 * (r // 2), 4 * (r // 2) + 3)
    | at(128 + 32 * h, 32).bits(2 * r, 2 * r + 1) << 4
    for h in range(2)
    for r in range(4)
)
# Of the eight scales first those of even number.
TOP_BITS_OF_IQ4_XS = join(at(byte, 1).bits(low, low + 1) for odd in (0, 2) for byte in (2, 3) for low in (odd, odd + 4))

STREAMS = {
    "GGML_Q4_0": SIMPLE,
    "GGML_IQ4_NL": SIMPLE,
    "GGML_Q1_0": SIMPLE,
    "GGML_Q4_1": [*number(0, 4), at(4, 16)],
    "GGML_Q5_0": [*number(0), nibbles(6, 16) | bit_string(2, 4) << 4],
    "GGML_Q5_1": [*number(0, 4), nibbles(8, 16) | bit_string(4, 4) << 4],
    "GGML_Q8_0": [*number(0), at(2, 32)],
    "GGML_Q8_1": [*number(0, 4), at(4, 32)],
    "GGML_Q2_K": [*number(80, 4), at(0, 16).bits(0, 3), at(0, 16).bits(4, 7), at(16, 64)],
    "GGML_Q3_K": [
        *number(108),
        nibbles(96, 8) | join(at(104, 4).bits(2 * k, 2 * k + 1) for k in range(4)) << 4,
        QUANTS_OF_Q3_K,
    ],
    "GGML_Q4_K": [*number(0, 4), *SCALES_OF_K, at(16, 128)],
    "GGML_Q5_K": [*number(0, 4), *SCALES_OF_K, QUANTS_OF_Q5_K],
    "GGML_Q6_K": [*number(208), at(192, 16), QUANTS_OF_Q6_K],
    "GGML_Q8_K": [*number(0, 4), at(260, 16, 2), at(261, 16, 2), at(4, 256)],
    "GGML_IQ2_XXS": [
        *number(0),
        join(at(6 + i, 8, 8) for i in range(3)),
        at(9, 8, 8).bits(0, 3),
        at(9, 8, 8).bits(4, 7),
        join(at(2 + i, 8, 8) for i in range(4)),
    ],
    "GGML_IQ2_XS": [*number(0), at(66, 8), at(3, 32, 2), at(2, 32, 2)],
    "GGML_IQ3_XXS": [
        *number(0),
        join(at(66 + i, 8, 4) for i in range(3)),
        at(69, 8, 4).bits(0, 3),
        at(69, 8, 4).bits(4, 7),
        at(2, 64),
    ],
    "GGML_IQ1_S": [*number(0), at(34, 8, 2), at(35, 8, 2).bits(0, 3), at(35, 8, 2).bits(4, 7), at(2, 32)],
    "GGML_IQ3_S": [*number(0), at(106, 4), at(66, 8), at(74, 32), at(2, 64)],
    "GGML_IQ2_S": [*number(0), at(74, 8), at(66, 8), at(34, 32), at(2, 32)],
    "GGML_IQ4_XS": [*number(0), nibbles(4, 4) | TOP_BITS_OF_IQ4_XS << 4, at(8, 128)],
    "GGML_IQ1_M": [
        at(49, 1).bits(4, 7) | at(51, 1).bits(4, 7) << 4,
        at(53, 1).bits(4, 7) | at(55, 1).bits(4, 7) << 4,
        at(48, 4, 2),
        at(49, 4, 2).bits(0, 3),
        at(32, 16),
        at(0, 32),
    ],
    "GGML_TQ1_0": [*number(52), at(48, 4), at(0, 48)],
    "GGML_TQ2_0": [*number(64), at(0, 64)],
    "GGML_MXFP4": [at(0, 1), at(1, 16)],
    "GGML_NVFP4": [at(0, 4), at(4, 32)],
}


def merge(streams, fields, block_bytes):
    """The blocks, from a matrix for each stream with a row for each block."""
    blocks = np.zeros((len(streams[0]), block_bytes), dtype=np.uint8)
    for stream, field in zip(streams, fields, strict=True):
        for column, cell in enumerate(field.cells):
            for byte, low, bits, shift in cell:
                blocks[:, byte] |= (stream[:, column] >> shift & ((1 << bits) - 1)) << low
    return blocks.tobytes()


# 3.11.2: centred quants -----------------------------------------------------------------------------------------------

# Bits of a quant, quants a byte, parts a block, and the part of quant j in byte i.
CENTRED = {
    "GGML_Q4_1": (4, 2, 1, lambda i, j: 0),
    "GGML_Q5_1": (5, 1, 1, lambda i, j: 0),
    "GGML_Q4_K": (4, 2, 8, lambda i, j: 2 * (i // 32) + j),
    "GGML_Q5_K": (5, 1, 8, lambda i, j: i // 32),
    "GGML_Q2_K": (2, 4, 16, lambda i, j: 8 * (i // 32) + i // 16 % 2 + 2 * j),
}


def word(low, high):
    return int(low) | int(high) << 8


def half(bits):
    """Sign and magnitude of an F16 as an integer, in units of its smallest."""
    exponent = bits >> 10 & 31
    return bits >> 15, ((bits & 1023) + (1024 if exponent else 0)) << max(exponent, 1) - 1


def zeros(streams, block, parts, most):
    scale_sign, scale = half(word(streams[0][block, 0], streams[1][block, 0]))
    minimum_sign, minimum = half(word(streams[2][block, 0], streams[3][block, 0]))
    for part in range(parts):
        c, n = (int(streams[4][block, part]), int(streams[5][block, part])) if parts > 1 else (1, 1)
        counts = scale * c != 0 and (scale_sign == minimum_sign) == (parts > 1)
        yield min(most, (2 * minimum * n + scale * c) // (2 * scale * c)) if counts else 0


def restore_quants(name, streams, quants):
    bits, fields, parts, part_of = CENTRED[name]
    most = (1 << bits) - 1
    part = np.array([[part_of(i, j) for j in range(fields)] for i in range(quants.shape[1])])
    shifts = bits * np.arange(fields)
    restored = np.empty_like(quants)
    for block, row in enumerate(quants):
        zero = np.array(list(zeros(streams, block, parts, most)))[part]
        values = (row[:, None].astype(np.int64) >> shifts & most) + zero - (1 << bits - 1) & most
        restored[block] = (values << shifts).sum(axis=1)
    return restored


# 3.11.3: maxima -------------------------------------------------------------------------------------------------------

STEPS = {"GGML_Q8_0": (127, False), "GGML_Q4_1": (15, True), "GGML_Q5_1": (31, True)}


def restore_scales(name, streams):
    steps, has_minimum = STEPS[name]
    rotated = streams[0].astype(np.uint32) | streams[1].astype(np.uint32) << 8
    maxima = ((rotated >> 1 | (rotated & 1) << 15) << 16).view(np.float32)
    minima = np.zeros_like(maxima)
    if has_minimum:
        signs_and_sizes = [half(word(*pair)) for pair in zip(streams[2][:, 0], streams[3][:, 0], strict=True)]
        minima[:, 0] = [(-size if sign else size) * 2.0**-24 for sign, size in signs_and_sizes]
    with np.errstate(all="ignore"):
        scales = (maxima - minima) / np.float32(steps)
        words = scales.astype(np.float16).view(np.uint16)
    words = np.where(np.isnan(maxima), 0x7C00 | (rotated & 1) << 15, words)
    return [(words & 255).astype(np.uint8), (words >> 8).astype(np.uint8), *streams[2:]]


# 3.11.4: classes ------------------------------------------------------------------------------------------------------

# Units a block, and whether their scale is the F16 of streams 0 and 1.
UNITS = {
    **{f"GGML_{name}": (1, True) for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "IQ4_NL")},
    "GGML_MXFP4": (1, False),
    "GGML_NVFP4": (4, False),
}


def classes_of(name, streams, thresholds):
    values = streams[0].astype(np.int64).reshape(-1)
    if UNITS[name][1]:
        values |= (streams[1].astype(np.int64).reshape(-1) & 127) << 8
    if not len(values):
        return values
    around = np.lib.stride_tricks.sliding_window_view(np.pad(values, 8, mode="edge"), 17)
    ratings = 17 * values - around.sum(axis=1)
    return sum((ratings >= threshold).astype(np.int64) for threshold in thresholds)


def unsorted_quants(cursor, name, streams, thresholds, quant_bytes):
    units = UNITS[name][0]
    unit_bytes = quant_bytes // units
    classes = classes_of(name, streams, thresholds)
    quants = np.empty((len(classes), unit_bytes), dtype=np.uint8)
    for number_of_class in range(len(thresholds) + 1):
        members = classes == number_of_class
        plane = coded_plane(cursor, int(members.sum()) * unit_bytes)
        quants[members] = plane.reshape(-1, unit_bytes)
    return quants.reshape(-1, quant_bytes)


# 3.11: records and payloads -------------------------------------------------------------------------------------------


def block_side(data, dtype_name, block_types):
    """Name and bytes of the record's blocks."""
    cursor = Cursor(data)
    must(dtype_name == "opaque", "blocks of a dtype that has elements")
    block_type = cursor.uint(2)
    must(block_type in block_types, f"block type {block_type} is unknown")
    cursor.zeros(6, "blocks")
    cursor.end("blocks")
    name, _, block_bytes = block_types[block_type]
    return name, block_bytes


def block_fields(payload, side, chunk_bytes, offset):
    name, block_bytes = side
    fields = STREAMS[name]
    cursor = Cursor(payload)
    flags = cursor.uint(1)
    must(flags < 8, "block fields: unknown flags")
    must(not flags & 1 or name in CENTRED, "centred quants of a type without minima")
    must(not flags & 2 or name in STEPS, "maxima of a type that has none")
    must(not flags & 4 or name in UNITS, "classes of a type without units")
    thresholds = []
    if flags & 4:
        class_count = cursor.uint(1)
        must(2 <= class_count <= 4, "block fields: not so many classes")
        thresholds = [int.from_bytes(cursor.take(4), "little", signed=True) for _ in range(class_count - 1)]
        must(thresholds == sorted(thresholds), "block fields: thresholds must ascend")
    head_bytes = min(-offset % block_bytes, chunk_bytes)
    block_count, tail_bytes = divmod(chunk_bytes - head_bytes, block_bytes)
    head, tail = bytes(cursor.take(head_bytes)), bytes(cursor.take(tail_bytes))
    streams = [coded_plane(cursor, block_count * len(field.cells)).reshape(block_count, -1) for field in fields[:-1]]
    if flags & 2:
        streams = restore_scales(name, streams)
    quant_bytes = len(fields[-1].cells)
    if flags & 4:
        quants = unsorted_quants(cursor, name, streams, thresholds, quant_bytes)
    else:
        quants = coded_plane(cursor, block_count * quant_bytes).reshape(block_count, quant_bytes)
    cursor.end("block fields")
    if flags & 1:
        quants = restore_quants(name, streams, quants)
    return head + merge([*streams, quants], fields, block_bytes) + tail
