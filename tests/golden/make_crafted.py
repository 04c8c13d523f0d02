"""Makes the golden files of single features in tests/golden/v1: one small archive each, and its row in manifest.json.

A file that exists is never written again: what was released must stay readable as it is. Run it after adding a
function below.
"""

import hashlib
import json
import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "reference"))

import block_codecs as blocks  # noqa: E402
import crafter as c  # noqa: E402
from decoder import Archive as Decoder  # noqa: E402
from dtypes import BLOCK_TYPES  # noqa: E402
from shared_places import cast_from_f32  # noqa: E402

FEATURES = {}


def golden(function):
    FEATURES[function.__name__] = function
    return function


def generator(seed):
    return np.random.Generator(np.random.PCG64(seed))


def bf16(seed, count, scale=0.02, rows=None, columns=None):
    """Normally distributed weights; `rows` and `columns` scale them by powers of two."""
    values = generator(seed).standard_normal(count).astype(np.float32) * np.float32(scale)
    if rows is not None:
        values *= np.exp2(rows[np.arange(count) // (count // len(rows))]).astype(np.float32)
    if columns is not None:
        values *= np.exp2(columns[np.arange(count) % len(columns)]).astype(np.float32)
    return (values.view(np.uint32) >> 16).astype("<u2").tobytes()


def f16(seed, count, scale=0.02):
    return (generator(seed).standard_normal(count) * scale).astype("<f2").tobytes()


def f32(seed, count, scale=0.02):
    return (generator(seed).standard_normal(count) * scale).astype("<f4").tobytes()


def cut(data, chunk_bytes):
    return [data[i : i + chunk_bytes] for i in range(0, len(data), chunk_bytes)]


def one_tensor(dtype, shape, chunk_elements, chunks, side=None, **options):
    """An archive of one file that is one tensor."""
    archive = c.Archive(**options)
    archive.file(b"tensor.bin")
    archive.record(dtype, chunk_elements, chunks, side, tensor=(b"weight", dtype, shape))
    return archive.finish()


def float_tensor(dtype, layout, data, chunk_elements, **options):
    """One float tensor whose chunks share a table of the whole."""
    table = c.table_for(data, layout)
    chunks = [
        (chunk, 4, c.float_payload(chunk, layout, table, **options))
        for chunk in cut(data, chunk_elements * c.ELEMENT_BYTES[dtype])
    ]
    return one_tensor(
        dtype, (len(data) // c.ELEMENT_BYTES[dtype],), chunk_elements, chunks, c.float_side(layout, table)
    )


# Codecs 0 to 2 --------------------------------------------------------------------------------------------------------


@golden
def codec_stored():
    data = generator(1).bytes(3000)
    return one_tensor("U8", (3, 1000), 1024, [(chunk, 0, chunk) for chunk in cut(data, 1024)])


@golden
def codec_constant():
    element = np.float32(-0.0).tobytes()
    return one_tensor("F32", (700,), 512, [(element * 512, 1, element), (element * 188, 1, element)])


@golden
def codec_constant_elements():
    """One element of each width, and an opaque one."""
    archive = c.Archive()
    archive.file(b"constants")
    for dtype, width in (("opaque", 1), ("F4", 1), ("BOOL", 1), ("U16", 2), ("F32", 4), ("C64", 8)):
        element = bytes(range(1, width + 1))
        shape = (200 if dtype == "F4" else 100,)
        archive.record(dtype, 100, [(element * 100, 1, element)], tensor=(dtype.encode(), dtype, shape))
    return archive.finish()


@golden
def codec_zstd():
    data = np.arange(4000, dtype="<i4").tobytes()
    return one_tensor("I32", (4000,), 2048, [(chunk, 2, c.zstd(chunk)) for chunk in cut(data, 8192)])


@golden
def codecs_mixed():
    """A codec of its own in each chunk of one record."""
    a, b, d, e = generator(2).bytes(512), b"\7\1" * 256, b"ab cd ef" * 64, np.arange(100, dtype="<u2").tobytes()
    planes = c.u(1, 0) + b"".join(c.plane_zstd(plane) for plane in c.split_planes(e, 2, 0))
    return one_tensor("U16", (868,), 256, [(a, 0, a), (b, 1, b"\7\1"), (d, 2, c.zstd(d)), (e, 3, planes)])


# Codec 3: planes ------------------------------------------------------------------------------------------------------


@golden
def planes_each_method():
    rng = generator(3)
    words = rng.integers(0, 256, 1000) | np.arange(1000) // 64 % 4 << 8 | (np.arange(1000) % 7 == 0) << 18 | 0x41000000
    data = words.astype("<u4").tobytes()
    p = c.split_planes(data, 4, 0)
    payload = (
        c.u(1, 0)
        + c.plane_stored(p[0])
        + c.plane_zstd(p[1])
        + c.plane_masked(p[2], [(4, 0, 16)])
        + c.plane_constant(p[3])
    )
    return one_tensor("U32", (1000,), 1024, [(data, 3, payload)])


def rotated(dtype, data):
    width = c.ELEMENT_BYTES[dtype]
    payload = c.u(1, 1) + b"".join(c.plane_zstd(plane) for plane in c.split_planes(data, width, 1))
    return one_tensor(dtype, (len(data) // width,), 4096, [(data, 3, payload)])


@golden
def planes_rotated_f16():
    return rotated("F16", f16(4, 500))


@golden
def planes_rotated_f32():
    return rotated("F32", f32(5, 500))


@golden
def planes_rotated_f64():
    return rotated("F64", generator(6).standard_normal(500).astype("<f8").tobytes())


@golden
def planes_one_byte():
    """Elements of one byte have one plane; rotating it is allowed."""
    data = bytes(generator(7).integers(0, 256, 300, dtype=np.uint8) & 0xC3)
    turned = bytes((value << 1 | value >> 7) & 255 for value in data)
    payload = c.u(1, 1) + c.plane_masked(turned, [(0x87, 0, 5)])
    return one_tensor("F8_E4M3", (300,), 512, [(data, 3, payload)])


@golden
def masked_bits_runs():
    """Runs of every kind of mask: none, one bit, some, seven, all; the last block is short and its base is not 0."""
    rng = generator(8)
    runs = [
        (0, 0x5A, 1),
        (0x80, 0x01, 2),
        (0x24, 0x50, 1),
        (0x7F, 0x80, 3),
        (255, 0, 2),
        (0x0F, 0x30, 1),
        (0x01, 0xFE, 1),
    ]
    parts = [
        (rng.integers(0, 256, 64 * count, dtype=np.uint8) & np.uint8(mask)) | np.uint8(base)
        for mask, base, count in runs
    ]
    data = np.concatenate(parts).tobytes()[:-37]
    return one_tensor("U8", (len(data),), 1024, [(data, 3, c.u(1, 0) + c.plane_masked(data, runs))])


@golden
def planes_tiny():
    """Chunks of one element, and planes of fewer bytes than a block."""
    data = b"\1\2\3\4" + b"\1\2\3\5" + b"\1\2\3\6"
    chunks = [
        (d, 3, c.u(1, 0) + b"".join(c.plane_masked(p, [(0, p[0], 1)]) for p in c.split_planes(d, 4, 0)))
        for d in cut(data, 4)
    ]
    return one_tensor("F32", (3,), 1, chunks)


# Codec 4: float fields ------------------------------------------------------------------------------------------------


@golden
def float_bf16():
    return float_tensor("BF16", 1, bf16(10, 2048), 4096)


@golden
def float_f16():
    return float_tensor("F16", 2, f16(11, 2048), 4096)


@golden
def float_f32():
    return float_tensor("F32", 3, f32(12, 2048), 4096)


@golden
def float_c64():
    return float_tensor("C64", 3, f32(13, 2048), 2048)


def float_tails(dtype, layout, make):
    """Word counts around one and two iterations, one record each."""
    archive = c.Archive()
    archive.file(b"tails")
    for count in (1, 2, 63, 511, 512, 513, 1000, 1023, 1024, 1025):
        data = make(100 + count, count)
        table = c.table_for(data, layout)
        archive.record(
            dtype,
            4096,
            [(data, 4, c.float_payload(data, layout, table))],
            c.float_side(layout, table),
            tensor=(b"n%d" % count, dtype, (count,)),
        )
    return archive.finish()


@golden
def float_tails_bf16():
    return float_tails("BF16", 1, bf16)


@golden
def float_tails_f16():
    return float_tails("F16", 2, f16)


@golden
def float_tails_f32():
    return float_tails("F32", 3, f32)


@golden
def float_chunks():
    """Five chunks, the last of an odd length."""
    return float_tensor("BF16", 1, bf16(14, 4 * 700 + 333), 700)


def with_special_values(data, exponent_shift, exponent_count, seed):
    """Every exponent four times in between weights, with random mantissas and signs, and both zeros and infinities."""
    words = np.frombuffer(data, dtype="<u2").copy()
    rng = generator(seed)
    exponents = np.repeat(np.arange(exponent_count), 4) << exponent_shift
    special = exponents | rng.integers(0, 65536, len(exponents)) & (0x8000 | (1 << exponent_shift) - 1)
    special = np.concatenate(
        [special, [0, 0x8000], [(exponent_count - 1) << exponent_shift | sign for sign in (0, 0x8000)]]
    )
    words[rng.choice(len(words), len(special), replace=False)] = special
    return words.astype("<u2").tobytes()


@golden
def float_special_values_bf16():
    return float_tensor("BF16", 1, with_special_values(bf16(15, 8192), 7, 256, 15), 4096)


@golden
def float_special_values_f16():
    return float_tensor("F16", 2, with_special_values(f16(16, 8192), 10, 32, 16), 8192)


@golden
def float_own_table():
    """The second chunk has other exponents and a table of its own; the third goes back to the record's."""
    parts = [bf16(17, 1024), bf16(18, 1024, scale=1e20), bf16(19, 1024)]
    table = c.table_for(parts[0], 1)
    own = c.table_for(parts[1], 1, palette=5, second=3)
    chunks = [
        (parts[0], 4, c.float_payload(parts[0], 1, table)),
        (parts[1], 4, c.float_payload(parts[1], 1, own, own_table=True)),
        (parts[2], 4, c.float_payload(parts[2], 1, table)),
    ]
    return one_tensor("BF16", (3072,), 1024, chunks, c.float_side(1, table))


@golden
def float_table_sizes():
    """The smallest table (one exponent, no second) and the largest (16 and 15)."""
    archive = c.Archive()
    archive.file(b"tables")
    for palette, second in ((1, 0), (1, 15), (16, 0), (16, 15)):
        rng = generator(20)
        exponents = np.where(rng.random(1024) < 0.85, 120, rng.integers(100, 140, 1024))
        data = (rng.integers(0, 65536, 1024) & 0x807F | exponents << 7).astype("<u2").tobytes()
        table = c.table_for(data, 1, palette, second)
        archive.record(
            "BF16",
            1024,
            [(data, 4, c.float_payload(data, 1, table))],
            c.float_side(1, table),
            tensor=(b"%d-%d" % (palette, second), "BF16", (1024,)),
        )
    return archive.finish()


@golden
def float_patches():
    """Patches by rank, by their own byte (rank 15), on neighbours, on the last coded word, over gaps of 4095 and up."""
    words = np.frombuffer(bf16(21, 20480), dtype="<u2").copy()
    for exponent in set(range(256)) - set(range(110, 126)):
        words[(words >> 7 & 255) == exponent] ^= np.uint16((exponent ^ 118) << 7)  # only 110..125 are left
    places = [0, 1, 2, 700, 700 + 4094, 700 + 4094 + 4095, 13000, 13000 + 4096, 20479]
    for place, exponent in zip(places, (1, 254, 200, 1, 254, 1, 255, 0, 77), strict=True):
        words[place] = words[place] & 0x807F | exponent << 7
    data = words.astype("<u2").tobytes()
    table = c.Table(range(110, 126), [1, 254], c.count_heads(data, 1))
    return one_tensor("BF16", (20480,), 20480, [(data, 4, c.float_payload(data, 1, table))], c.float_side(1, table))


def recentred(
    rows=None,
    columns=None,
    coded=c.shifts_stored,
    dtype="BF16",
    layout=1,
    seed=30,
    chunk_elements=1000,
    words_an_element=1,
    spread=20,
):
    """A matrix of 40 x 96 words, whose rows and columns have scales of their own, in chunks that end inside rows."""
    rng = generator(seed)
    row_shifts = rng.integers(-spread, spread + 1, 40) if rows else np.zeros(40, dtype=np.int64)
    column_shifts = rng.integers(-spread, spread + 1, 96) if columns else np.zeros(96, dtype=np.int64)
    scale = np.exp2((row_shifts[:, None] + column_shifts[None, :]).astype(np.float64)) * 0.02
    values = rng.standard_normal((40, 96)) * scale
    if layout == 2:
        data = values.astype("<f2").tobytes()
    else:
        words = values.astype("<f4").view("<u4").reshape(-1)
        data = (words >> 16).astype("<u2").tobytes() if layout == 1 else words.tobytes()
    width = c.ELEMENT_BYTES[dtype] // words_an_element
    shifts = np.add.outer(row_shifts, column_shifts).reshape(-1)
    table = c.table_for(data, layout, shifts=shifts)
    chunks, word = [], 0
    for chunk in cut(data, chunk_elements * width * words_an_element):
        count = len(chunk) // width
        row_vector = coded(row_shifts[word // 96 : (word + count - 1) // 96 + 1].tolist()) if rows else None
        chunks.append(
            (chunk, 4, c.float_payload(chunk, layout, table, row_shifts=row_vector, shifts=shifts[word : word + count]))
        )
        word += count
    modes = bool(rows) | bool(columns) << 1
    side = c.float_side(layout, table, modes, 96, coded(column_shifts.tolist()) if columns else b"")
    return one_tensor(dtype, (40, 96 // words_an_element), chunk_elements, chunks, side)


@golden
def recentred_rows():
    return recentred(rows=True)


@golden
def recentred_columns():
    return recentred(columns=True)


@golden
def recentred_both():
    return recentred(rows=True, columns=True)


@golden
def recentred_unary():
    return recentred(rows=True, columns=True, coded=c.shifts_unary, spread=3)


@golden
def recentred_unary_wide():
    """Every value a signed byte can have."""
    values = list(range(-128, 128))
    shifts = np.tile(np.array(values), 4)
    words = np.frombuffer(bf16(31, 1024), dtype="<u2").astype(np.int64)
    data = (words & 0x807F | ((words >> 7) + shifts) % 256 << 7).astype("<u2").tobytes()
    table = c.table_for(data, 1, shifts=shifts)
    side = c.float_side(1, table, 2, 256, c.shifts_unary(values))
    return one_tensor("BF16", (4, 256), 1024, [(data, 4, c.float_payload(data, 1, table, shifts=shifts))], side)


@golden
def recentred_zstd():
    return recentred(rows=True, columns=True, coded=c.shifts_zstd)


@golden
def recentred_f16():
    return recentred(rows=True, columns=True, dtype="F16", layout=2, spread=2)


@golden
def recentred_f32():
    return recentred(rows=True, columns=True, dtype="F32", layout=3)


@golden
def recentred_c64():
    return recentred(rows=True, columns=True, dtype="C64", layout=3, words_an_element=2, chunk_elements=500)


@golden
def recentred_columns_of_one():
    """One column: a shift vector of one value, and rows of one word each."""
    data = bf16(32, 1100, rows=np.arange(1100) % 3)
    shifts = np.arange(1100) % 3 - 1
    table = c.table_for(data, 1, shifts=shifts)
    payload = c.float_payload(data, 1, table, row_shifts=c.shifts_unary((shifts + 1).tolist()), shifts=shifts)
    side = c.float_side(1, table, 3, 1, c.shifts_unary([-1]))
    return one_tensor("BF16", (1100, 1), 2048, [(data, 4, payload)], side)


@golden
def float_planes_coded():
    """Low planes by each method."""
    rng = generator(33)
    values = np.frombuffer(f32(34, 3 * 1024), dtype="<u4").copy()
    values[:1024] &= 0xFFFFE000
    values[1024:2048] = values[1024:2048] & 0xFFFF0000 | 0x4711
    values[2048:] = values[2048:] & 0xFFFF0000 | rng.integers(0, 4, 1024, dtype=np.uint32) << 8
    data = values.astype("<u4").tobytes()
    table = c.table_for(data, 3)
    methods = iter(
        [
            lambda p: c.plane_masked(p, [(0xE0, 0, 16)]),
            c.plane_constant,
            c.plane_constant,
            c.plane_constant,
            c.plane_zstd,
            c.plane_stored,
        ]
    )
    chunks = [
        (chunk, 4, c.float_payload(chunk, 3, table, low_planes=lambda plane: next(methods)(plane)))
        for chunk in cut(data, 4096)
    ]
    return one_tensor("F32", (3072,), 1024, chunks, c.float_side(3, table))


@golden
def float_record_of_other_codecs():
    """Chunks of a float record may use codecs 0 to 3."""
    data = bf16(35, 2048)
    table = c.table_for(data, 1)
    parts = cut(data, 1024)
    planes = c.u(1, 1) + b"".join(c.plane_zstd(plane) for plane in c.split_planes(parts[3], 2, 1))
    chunks = [
        (parts[0], 4, c.float_payload(parts[0], 1, table)),
        (parts[1], 0, parts[1]),
        (parts[2], 2, c.zstd(parts[2])),
        (parts[3], 3, planes),
    ]
    return one_tensor("BF16", (2048,), 512, chunks, c.float_side(1, table))


# Codecs 7 and 8: quantised values in wider elements -------------------------------------------------------------------


def element_patches(gaps, elements):
    return b"".join(c.u(2, gap) + element for gap, element in zip(gaps, elements, strict=True))


def palette_payload(entries, indices, width, patches=b"", plane=c.plane_stored):
    steps = np.diff(np.array(entries, dtype=np.uint64), prepend=np.uint64(0)).astype(f"<u{width}").tobytes()
    planes = b"".join(c.plane_stored(steps[p::width]) for p in range(width))
    return c.u(1, len(entries) - 1, 0, 0, 0) + planes + plane(bytes(indices)) + patches


@golden
def palette_widths():
    """Elements of each width; entries out of order, so that sums wrap around; a palette of one and of 256 entries."""
    archive = c.Archive()
    archive.file(b"palettes")
    rng = generator(60)
    for dtype, width, count in (("BF16", 2, 256), ("U16", 2, 1), ("F32", 4, 17), ("I64", 8, 3), ("C64", 8, 200)):
        entries = rng.integers(0, 1 << 8 * width - 1, count, dtype=np.uint64) * np.uint64(2)
        indices = rng.integers(0, count, 1000).astype(np.uint8)
        data = entries[indices].astype(f"<u{width}").tobytes()
        payload = palette_payload(entries, indices, width, plane=c.plane_zstd)
        archive.record(dtype, 1024, [(data, 7, payload)], tensor=(dtype.encode(), dtype, (1000,)))
    return archive.finish()


@golden
def palette_patches():
    """Patches, one of which is a step on a long way, and one place that is patched twice."""
    indices = (np.arange(100000) % 5).astype(np.uint8)
    words = np.array([0, 7, 0x3F80, 0x8000, 0xFFFF], dtype="<u2")[indices]
    step = words[5 + 65535].tobytes()
    words[[5, 99999]] = [0x7FC1, 0x1234]
    patches = element_patches([5, 0, 65535, 34459], [b"xx", b"\xc1\x7f", step, b"\x34\x12"])
    payload = palette_payload([0, 7, 0x3F80, 0x8000, 0xFFFF], indices, 2, patches, c.plane_zstd)
    return one_tensor("BF16", (100000,), 1 << 17, [(words.tobytes(), 7, payload)])


def scaled_payload(
    codes, scales, *, flags=0, zero=0, minus_zero=0, width=4, shift=0, base=0, group, first, patches=b""
):
    words = (np.array(scales, dtype="<f4").view("<u4") - np.uint32(base) >> shift).astype("<u4").tobytes()
    planes = b"".join(c.plane_stored(words[p::4]) for p in range(width))
    header = c.u(1, flags, zero, minus_zero, width, shift, 0, 0, 0) + c.u(4, group, first, base)
    return header + c.plane_stored(bytes(codes)) + planes + patches


def scaled_words(codes, scales, zero, group, first, dtype):
    groups = (np.arange(len(codes)) + group - first) // group
    scales = np.array(scales, dtype=np.float32)[groups]
    values = (codes.astype(np.int32) - zero).astype(np.float32) * scales
    if dtype == "F32":
        return values.view("<u4")
    if dtype == "F16":
        return values.astype("<f2").view("<u2")
    bits = values.view(np.uint32)
    return (bits + np.uint32(0x7FFF) + (bits >> 16 & 1) >> 16).astype("<u2")


@golden
def scaled_groups():
    """Each dtype: a short first and last group; scales that are subnormal, 0, and too large for the products."""
    archive = c.Archive()
    archive.file(b"scaled")
    codes = generator(61).integers(0, 256, 1000).astype(np.uint8)
    scales = np.array([0.01, 1e-41, 0, 3e38, 1.5e-7, 1 / 3, 700, 2.0**-20, 3e-39, 1.25], dtype=np.float32)
    for dtype in ("BF16", "F16", "F32"):
        with np.errstate(over="ignore"):
            words = scaled_words(codes, scales, 128, 110, 60, dtype)
        payload = scaled_payload(codes, scales, zero=128, group=110, first=60)
        archive.record(dtype, 1024, [(words.tobytes(), 8, payload)], tensor=(dtype.encode(), dtype, (1000,)))
    return archive.finish()


@golden
def scaled_flags():
    """Products that are cut off, a code for -0 (also where it is that of 0), packed scales, patches."""
    archive = c.Archive()
    archive.file(b"scaled")
    codes = generator(62).integers(0, 16, 1000).astype(np.uint8)
    scale = np.float32(0.0371)
    base = int(scale.view(np.uint32))
    cut_off = (((codes.astype(np.int32) - 8).astype(np.float32) * scale).view(np.uint32) >> 16).astype("<u2")
    cut_off[codes == 8] = 0x8000
    cut_off[3] = 0x7FFF
    payload = scaled_payload(
        codes, [], flags=3, zero=8, minus_zero=8, width=0, base=base, group=4096, first=1000,
        patches=element_patches([3], [b"\xff\x7f"]),
    )  # fmt: skip
    archive.record("BF16", 1024, [(cut_off.tobytes(), 8, payload)], tensor=(b"cut off", "BF16", (1000,)))
    scales = (base + (np.arange(63, dtype=np.uint32) << 13)).view(np.float32)
    words = scaled_words(codes, scales, 7, 16, 16, "F32")
    words[codes == 15] = 1 << 31
    payload = scaled_payload(
        codes, scales, flags=2, zero=7, minus_zero=15, width=1, shift=13, base=base, group=16, first=16
    )
    archive.record("F32", 1024, [(words.tobytes(), 8, payload)], tensor=(b"packed scales", "F32", (1000,)))


# Codec 6: context mixing ----------------------------------------------------------------------------------------------

CODECS_OF_0_3 = 1 << 4


def smooth(seed, count, correlation=0.8, scale=0.02):
    """Numbers that follow those before them, as the taps of a filter do."""
    values = generator(seed).standard_normal(count)
    for i in range(1, count):
        values[i] = correlation * values[i - 1] + np.sqrt(1 - correlation**2) * values[i]
    return (values * scale).astype("<f4")


def as_bf16(values):
    return (values.view("<u4") >> 16).astype("<u2").tobytes()


def mixed_tensor(dtype, data, width, chunk_elements, columns, **options):
    """Chunks that start wherever in a row they start."""
    chunks, first = [], 0
    for chunk in cut(data, chunk_elements * width):
        words = len(chunk) // min(width, 4)
        chunks.append((chunk, 6, c.mixed_payload(chunk, dtype, columns, first % columns, **options)))
        first += words
    return one_tensor(dtype, (len(data) // width,), chunk_elements, chunks, required_features=CODECS_OF_0_3)


@golden
def mixed_bf16():
    return mixed_tensor("BF16", bf16(51, 3000, columns=np.arange(60) % 5 - 2), 2, 1100, 60, predicts=False)


@golden
def mixed_bf16_predicted():
    return mixed_tensor("BF16", as_bf16(smooth(52, 3000)), 2, 1100, 64)


@golden
def mixed_bf16_all_words():
    """Exponents far from what is expected, zeros, infinities, NaNs."""
    rng = generator(53)
    words = rng.integers(0, 1 << 16, 1500) & np.where(np.arange(1500) % 6, 0, 0xFFFF)
    data = words.astype("<u2").tobytes()
    chunks = [
        (data, 6, c.mixed_payload(data, "BF16", 50, predicts=predicts, modelled_bits=3, base=base, plane=plane))
        for predicts, base, plane in [(True, 127, c.plane_zstd), (False, 0, c.plane_stored), (True, 255, c.plane_zstd)]
    ]
    return one_tensor("BF16", (4500,), 1500, chunks, required_features=CODECS_OF_0_3)


@golden
def mixed_bf16_modelled_bits():
    """From no bit of the mantissa to three, each with and without signs."""
    data = as_bf16(smooth(54, 600))
    chunks = [
        (data, 6, c.mixed_payload(data, "BF16", 24, predicts=predicts, modelled_bits=bits))
        for bits in range(4)
        for predicts in ((False, True) if bits else (True, False))
    ]
    return one_tensor("BF16", (8 * 600,), 600, chunks, required_features=CODECS_OF_0_3)


@golden
def mixed_f16():
    values = smooth(55, 2000).astype("<f2").tobytes()
    chunks = [
        (values, 6, c.mixed_payload(values, "F16", 40, 7, predicts=predicts, modelled_bits=bits))
        for predicts, bits in [(True, 2), (False, 3)]
    ]
    return one_tensor("F16", (4000,), 2000, chunks, required_features=CODECS_OF_0_3)


@golden
def mixed_f32():
    return mixed_tensor("F32", smooth(56, 2000).tobytes(), 4, 900, 50, plane=c.plane_zstd)


@golden
def mixed_c64():
    """Two words an element, rows of an odd number of words."""
    return mixed_tensor("C64", smooth(57, 2000).tobytes(), 8, 450, 51)


@golden
def mixed_f8():
    archive = c.Archive(required_features=CODECS_OF_0_3)
    archive.file(b"tensors.bin")
    for seed, dtype in enumerate(["F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"]):
        rng = generator(58 + seed)
        data = (rng.integers(8, 11, 1000) << 3 | rng.integers(0, 8, 1000)).astype("u1").tobytes()
        payload = c.mixed_payload(data, dtype, 20, predicts=seed < 2, plane=c.plane_zstd)
        archive.record(dtype, 1000, [(data, 6, payload)], tensor=(dtype.encode(), dtype, (1000,)))
    return archive.finish()


# The archive ----------------------------------------------------------------------------------------------------------


@golden
def archive_without_files():
    return c.Archive().finish()


@golden
def archive_empty_file():
    archive = c.Archive()
    archive.file(b"empty")
    return archive.finish()


@golden
def archive_buffer():
    """One unnamed file of one unnamed tensor, without SHA-256 and digest, as buffers are compressed."""
    archive = c.Archive()
    archive.file(b"", sha256=False)
    data = f32(40, 300)
    archive.record("F32", 512, [(data, 0, data)], tensor=(b"", "F32", (300,)), with_digest=False)
    return archive.finish()


@golden
def archive_inline():
    """Inline extents of 0, 1 and 4096 bytes, raw and tensors."""
    archive = c.Archive()
    archive.file(b"inline", container_format=1)
    archive.inline(b"")
    archive.inline(b"\x7f")
    archive.inline(generator(41).bytes(4096))
    archive.inline(b"", tensor=(b"zero size", "F32", (3, 0)))
    archive.inline(b"\1\0\0\0", tensor=(b"scalar", "I32", ()))
    archive.inline(b"odd", tensor=(b"opaque", "opaque", (2, 5)))
    archive.inline(b"future", tensor=(b"dtype 999", 999, (7,)))
    return archive.finish()


@golden
def archive_all_dtypes():
    archive = c.Archive()
    archive.file(b"dtypes")
    for name in c.DTYPE_NUMBERS:
        bits = {"F4": 4, "F6_E2M3": 6, "F6_E3M2": 6}.get(name, 8 * c.ELEMENT_BYTES.get(name, 1))
        data = generator(42).bytes(8 * bits // 8 * 5)
        archive.record(
            name,
            16,
            [(chunk, 0, chunk) for chunk in cut(data, 16 * c.ELEMENT_BYTES.get(name, 1))],
            tensor=(name.encode(), name, (5, 8)),
        )
    return archive.finish()


@golden
def archive_same_as():
    """Extents that are the same as an inline one and as a record, also over files; two extents that name one record."""
    archive = c.Archive()
    archive.file(b"first")
    small, large = b"small", generator(43).bytes(600)
    number = archive.inline(small, tensor=(b"small", "U8", (5,)))
    first = archive.record("U8", 256, [(chunk, 0, chunk) for chunk in cut(large, 256)], tensor=(b"large", "U8", (600,)))
    archive.same_as(first, large, tensor=(b"tied", "U8", (20, 30)), digest=c.tree_digest(cut(large, 256)))
    archive.file(b"second")
    archive.same_as(first, large)
    archive.same_as(number, small)
    archive.extent(1, large, archive.last_place, tensor=(b"again", "U8", (600,)))
    return archive.finish()


@golden
def archive_pieces():
    """Pieces of earlier records and of the extent's own, in every order; without own record; the same as pieces."""
    archive = c.Archive(required_features=1 << 5)
    archive.file(b"first")
    large, own = generator(48).bytes(600), generator(49).bytes(150)

    def digest(content):
        return c.tree_digest([content])

    first = archive.record("U8", 256, [(chunk, 0, chunk) for chunk in cut(large, 256)], tensor=(b"large", "U8", (600,)))
    second = first + 1
    archive.pieces(
        ("U8", 64, [(chunk, 0, chunk) for chunk in cut(own, 64)]),
        [(100, second, 0), (600, first, 0), (50, second, 100), (1, first, 599), (256, first, 256), (150, second, 0)],
        {first: large},
        tensor=(b"pieces", "U8", (1157,)),
        digest=digest,
    )
    content = archive.contents[-1][600:]
    archive.file(b"second")
    archive.same_as(second, content)
    archive.pieces(None, [(90, second, 60), (10, first, 0)], {first: large, second: own})
    archive.inline(b"inline")
    return archive.finish()


@golden
def archive_patches():
    """What is the base's, patches on rows, on extents of every kind and on each other, in any order; shorter and longer
    than their base; chunks that need no base. Every content is short enough to be its own sample."""
    rows = [bf16(60, 900), generator(61).bytes(300), generator(62).bytes(77)]
    names = [(b"w", "BF16", (900,)), (b"u", "U8", (300,)), None]
    table = c.base_table(
        b"base", [(name[0] if name else b"a/b", row, name and name[1:]) for name, row in zip(names, rows, strict=True)]
    )
    archive = c.Archive(required_features=1 << 1)
    archive.file(b"patches", attributes=table, attribute_count=1)
    archive.of_base(0, rows[0], tensor=names[0], digest=c.tree_digest([rows[0]]))
    archive.of_base(2, rows[2])

    def patch(dtype, width, content, base, place, depth, chunk_elements, **options):
        """Codec 64 where a chunk is its base's, continued with zeros; else stored, constant or zstd."""
        chunks = []
        for number, chunk in enumerate(cut(content, width * chunk_elements)):
            begin = number * width * chunk_elements
            part = base[begin : begin + len(chunk)]
            if part + bytes(len(chunk) - len(part)) == chunk:
                chunks.append((chunk, 64, c.xxh3(part)))
            elif len(set(cut(chunk, width))) == 1:
                chunks.append((chunk, 1, chunk[:width]))
            else:
                chunks.append((chunk, 2, c.zstd(chunk)) if number % 2 else (chunk, 0, chunk))
        side = c.patch_side(dtype, len(base))
        return archive.patched(dtype, chunk_elements, chunks, side, place, depth, **options)

    words = bytearray(rows[0])
    words[500:510] = bytes(10)
    words[1200:1240] = b"\x80\x3f" * 20
    first = patch("BF16", 2, bytes(words), rows[0], (1, 0), 1, 100, tensor=(b"first", "BF16", (900,)))
    longer = bytes(words) + bytes(300)
    second = patch("BF16", 2, longer, bytes(words), (0, first), 2, 100, tensor=(b"second", "BF16", (1050,)))
    patch("BF16", 2, longer[:1150], longer, (0, second), 3, 100, tensor=(b"third", "BF16", (575,)))
    later = archive.extent_count + 1
    whole = generator(63).bytes(512)
    patch("U8", 1, whole[:400] + bytes(10), whole, (0, later), 1, 128, tensor=(b"before its base", "U8", (410,)))
    assert later == archive.record(
        "U8", 128, [(chunk, 0, chunk) for chunk in cut(whole, 128)], tensor=(b"whole", "U8", (512,))
    )
    small = archive.inline(b"twenty bytes of text")
    patch("opaque", 1, b"twenty bytes of texts", b"twenty bytes of text", (0, small), 1, 10)
    patch("opaque", 1, rows[2][:50], rows[2], (0, 1), 1, 16)
    archive.same_as(first, bytes(words), tensor=(b"same", "BF16", (900,)), digest=c.tree_digest([bytes(words)]))
    return archive.finish(), b"".join(rows)


@golden
def archive_casts():
    """Each cast of F32 tensors, before and behind them, of a record and of pieces; values at every edge of rounding."""
    archive = c.Archive(required_features=1 << 5)
    archive.file(b"casts")
    words = np.frombuffer(f32(50, 1500), dtype="<u4").copy()
    edges = [0, 1, 0x7FFF, 0x8000, 0x8001, 0x17FFF, 0x18000, 0x3F808000, 0x3F818000, 0x7F7FFFFF, 0x7F800000, 0x7F800001]
    edges += [
        0x7FC00000,
        0x7FFFFFFF,
        0x33000000,
        0x33000001,
        0x33800000,
        0x387FC000,
        0x387FE000,
        0x38800000,
        0x477FEFFF,
    ]
    edges += [0x477FF000, 0x38801000, 0x38803000, 0x7F802000, 0x7FA00000]
    words[: len(edges)] = edges
    words[len(edges) : 2 * len(edges)] = np.array(edges, dtype="<u4") | np.uint32(1 << 31)
    data = words.tobytes()

    def cast(method, number, data, name):
        content = cast_from_f32(method, data)
        dtype = "F16" if method == 3 else "BF16"
        archive.cast(method, number, content, (name, dtype, (len(content) // 2,)), c.tree_digest([content]))

    cast(1, 1, data, b"before")
    archive.record("F32", 512, [(chunk, 0, chunk) for chunk in cut(data, 2048)], tensor=(b"masters", "F32", (1500,)))
    cast(2, 1, data, b"truncated")
    cast(3, 1, data, b"halves")
    tile = f32(51, 300)
    archive.pieces(("F32", 512, [(tile, 0, tile)]), [(1200, 4, 0), (1200, 4, 0)], {}, tensor=(b"tiles", "F32", (600,)))
    cast(1, 4, tile + tile, b"of tiles")
    archive.same_as(0, cast_from_f32(1, data), tensor=(b"tied", "BF16", (1500,)))
    return archive.finish()


@golden
def archive_several_files():
    archive = c.Archive()
    archive.file(b"model.safetensors", container_format=1)
    archive.inline(b"header")
    data = bf16(44, 1024)
    table = c.table_for(data, 1)
    archive.record(
        "BF16",
        1024,
        [(data, 4, c.float_payload(data, 1, table))],
        c.float_side(1, table),
        tensor=(b"w", "BF16", (32, 32)),
    )
    archive.file(b"config.json")
    archive.inline(b"{}\n")
    archive.file(b"empty")
    archive.file(b"not utf-8 \xff\xfe", sha256=False)
    archive.inline(b"x" * 100)
    return archive.finish()


@golden
def archive_zstd_index():
    archive = c.Archive(zstd_index=True)
    archive.file(b"many", container_format=1)
    for i in range(60):
        archive.inline(bytes([i]) * 40, tensor=(b"model.layers.%d.weight" % i, "U8", (40,)))
    return archive.finish()


@golden
def archive_attributes():
    """A file with attributes, none of which version 1 defines: they are skipped."""
    archive = c.Archive()
    attributes = c.u(2, 7) + c.u(4, 3) + b"abc" + c.u(2, 65535) + c.u(4, 0)
    archive.file(b"attributes", attributes=attributes, attribute_count=2)
    archive.inline(b"content")
    return archive.finish()


@golden
def archive_unknown_container_format():
    archive = c.Archive()
    archive.file(b"later.format", container_format=200)
    archive.inline(b"content")
    return archive.finish()


@golden
def archive_optional_features_and_sections():
    """Optional features nobody knows, and private sections before, between and behind records and indexes."""
    archive = c.Archive(optional_features=1 << 63 | 1)
    archive.file(b"file")
    data = generator(45).bytes(100)
    archive.record("opaque", 64, [(chunk, 0, chunk) for chunk in cut(data, 64)])
    archive.out += archive.section(b"xABC", b"private")
    return archive.finish(between=archive.section(b"xDEF", b"another"))


@golden
def archive_tree():
    """Every kind of entry, names that sort unlike their paths, modes of 12 bits, times before 1970 and far away."""
    archive = c.Archive(required_features=1 << 3)
    archive.entry(1, b"", 0o755, (1700000000, 123456789), (1700000001, 1))
    archive.entry(0, b"a", 0o4751, (-1, 750000000), (-(10**10), 0))
    shared = archive.inline(b"shared content")
    archive.entry(1, b"d", 0o2700, (32503680000, 999999999), (0, 0))
    archive.entry(0, b"d/copy \xff", 0o400)
    archive.same_as(shared, b"shared content")
    archive.entry(1, b"d/empty", 0o555)
    archive.entry(2, b"d/model.safetensors", 0o777, extra=(2, b"../../blobs/missing"))
    archive.entry(0, b"d-sorts behind d's entries", 0o600)
    archive.record("opaque", 64, [(chunk, 0, chunk) for chunk in cut(generator(46).bytes(100), 64)])
    archive.entry(3, b"e", 0o4751, (-1, 750000000), (-(10**10), 0), extra=(3, c.u(4, 1)))
    archive.entry(0, b"zero", 0o000)
    return archive.finish()


# Block fields ---------------------------------------------------------------------------------------------------------


def block_chunk(side, flags, chunk_bytes, offset, random):
    """A chunk and its payload, of streams with few values, so that zstd makes them smaller than the chunk."""
    name, block_bytes = side
    fields = blocks.STREAMS[name]
    head_bytes = min(-offset % block_bytes, chunk_bytes)
    block_count, tail_bytes = divmod(chunk_bytes - head_bytes, block_bytes)

    def stream(columns):
        values = np.array([0x00, 0x93, 0x2E, 0x7D, 0xC1], dtype=np.uint8)
        return values[random.choice(5, (block_count, columns), p=[0.05, 0.8, 0.05, 0.05, 0.05])]

    streams = [stream(len(field.cells)) for field in fields]
    thresholds = [-3000, 0, 0][: 1 + len(name) % 3]
    payload = c.u(1, flags)
    if flags & 4:
        payload += c.u(1, len(thresholds) + 1) + np.array(thresholds, dtype="<i4").tobytes()
    payload += random.bytes(head_bytes + tail_bytes) + b"".join(c.plane_zstd(s.tobytes()) for s in streams[:-1])
    if flags & 4:
        scales = blocks.restore_scales(name, streams) if flags & 2 else streams
        classes = blocks.classes_of(name, scales, thresholds)
        units = streams[-1].reshape(len(classes), -1)
        for number in range(len(thresholds) + 1):
            payload += c.plane_zstd(units[classes == number].tobytes())
    else:
        payload += c.plane_zstd(streams[-1].tobytes())
    return blocks.block_fields(payload, side, chunk_bytes, offset), 9, payload


@golden
def block_fields():
    """Every block type without flags and with all that it may have, in chunks that end inside of blocks."""
    random = generator(50)
    archive = c.Archive()
    archive.file(b"blocks.bin")
    for number, (name, elements, block_bytes) in BLOCK_TYPES.items():
        all_flags = (name in blocks.CENTRED) + 2 * (name in blocks.STEPS) + 4 * (name in blocks.UNITS)
        for flags in sorted({0, all_flags & 1, all_flags}):
            block_count = 1800 // block_bytes + 1
            sizes = [1024, block_count * block_bytes - 1024]
            chunks = [block_chunk((name, block_bytes), flags, sizes[i], 1024 * i, random) for i in range(2)]
            tensor = (f"{name}.{flags}".encode(), number, (block_count, elements))
            archive.record("opaque", 1024, chunks, c.block_side(number), tensor=tensor, transform=3)
    return archive.finish()


def main():
    folder = HERE / "v1"
    manifest_path = folder / "manifest.json"
    manifest = json.loads(manifest_path.read_text()) if manifest_path.exists() else {}
    for name, make in FEATURES.items():
        path = folder / f"{name}.fly"
        if path.exists():
            continue
        made = make()
        data, base = made if isinstance(made, tuple) else (made, b"")
        archive = Decoder(data, base)
        files = []
        for file in archive.files:
            content = archive.decode_file(file)
            files.append(
                {
                    "name": file.name.decode("latin-1"),
                    "bytes": len(content),
                    "sha256": hashlib.sha256(content).hexdigest(),
                }
            )
        manifest[path.name] = {"archive_sha256": hashlib.sha256(data).hexdigest(), "files": files}
        if base:
            manifest[path.name]["base"] = f"{name}.base"
            (folder / f"{name}.base").write_bytes(base)
        with open(path, "xb") as out:
            out.write(data)
        print(f"{path.name}: {len(data)} bytes")
    manifest_path.write_text(json.dumps(dict(sorted(manifest.items())), indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
