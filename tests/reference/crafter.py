"""Writes archives piece by piece, for golden files of features that the library's own encoder seldom or never uses.

It follows docs/format.md and chooses nothing: method, table, shifts and order are the caller's.
"""

import hashlib
from collections import Counter

import numpy as np
import xxhash
import zstandard
from mixed_codec import LAYOUTS, Model, Setting

INTEGERS = ["opaque", "BOOL", "U8", "I8", "U16", "I16", "U32", "I32", "U64", "I64"]
FLOATS = ["F16", "BF16", "F32", "F64", "C64"]
SMALL_FLOATS = ["F8_E4M3", "F8_E5M2", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F4", "F6_E2M3", "F6_E3M2"]
DTYPE_NUMBERS = {name: number for number, name in enumerate(INTEGERS + FLOATS + SMALL_FLOATS)}
ELEMENT_BYTES = {"U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4}
ELEMENT_BYTES |= {"U64": 8, "I64": 8, "F64": 8, "C64": 8}


def u(width, *values):
    return b"".join(int(value).to_bytes(width, "little") for value in values)


def xxh3(data):
    return u(8, xxhash.xxh3_64_intdigest(data))


def zstd(data, level=9):
    return zstandard.ZstdCompressor(level=level).compress(bytes(data))


# Planes and shift vectors ---------------------------------------------------------------------------------------------


def plane_stored(data):
    return u(1, 0) + u(4, len(data)) + bytes(data)


def plane_constant(data):
    assert len(set(data)) == 1
    return u(1, 1) + u(4, 1) + bytes(data[:1])


def plane_zstd(data):
    frame = zstd(data)
    return u(1, 2) + u(4, len(frame)) + frame


def masked_bits(data, runs):
    """`runs`: (mask, base, block count); the data must fit them."""
    padded = bytes(data) + bytes(-len(data) % 64)
    out = bytearray(u(2, len(runs)))
    for mask, base, count in runs:
        out += u(1, mask, base) + u(2, count)
    at = 0
    for mask, base, count in runs:
        for block in range(at, at + count):
            values = np.frombuffer(padded[64 * block : 64 * block + 64], dtype=np.uint8)
            # The filling zeros of the last block need not have the base: they are dropped.
            assert np.all(values[: len(data) - 64 * block] & ~np.uint8(mask) == base)
            if mask == 255:
                out += values.tobytes()
            else:
                for bit in range(8):
                    if mask >> bit & 1:
                        out += np.packbits(values >> bit & 1, bitorder="little").tobytes()
        at += count
    return bytes(out)


def plane_masked(data, runs):
    body = masked_bits(data, runs)
    return u(1, 3) + u(4, len(body)) + body


def split_planes(data, width, rotate):
    words = np.frombuffer(data, dtype=f"<u{width}").astype(np.uint64)
    if rotate:
        top = words >> np.uint64(8 * width - 1)
        words = words << np.uint64(1) | top
    return [(words >> np.uint64(8 * p) & np.uint64(255)).astype(np.uint8).tobytes() for p in range(width)]


def shifts_stored(values):
    return u(1, 0) + u(4, len(values)) + np.array(values, dtype=np.int8).tobytes()


def shifts_unary(values):
    bits = []
    for value in values:
        bits += [0] * (2 * value if value >= 0 else -2 * value - 1) + [1]
    body = np.packbits(np.array(bits, dtype=np.uint8), bitorder="little").tobytes()
    return u(1, 1) + u(4, len(body)) + body


def shifts_zstd(values):
    frame = zstd(np.array(values, dtype=np.int8).tobytes())
    return u(1, 2) + u(4, len(frame)) + frame


# Float fields ---------------------------------------------------------------------------------------------------------


class Table:
    """A head table: `exponents` with frequencies from a count of (exponent, b), and `second`."""

    def __init__(self, exponents, second=(), counts=None):
        self.exponents, self.second = list(exponents), list(second)
        counts = counts or Counter()
        weights = [counts[(e, b)] + 1 for e in self.exponents for b in (0, 1)]
        self.frequencies = [max(1, weight * 256 // sum(weights)) for weight in weights]
        while sum(self.frequencies) > 256:
            self.frequencies[int(np.argmax(self.frequencies))] -= 1
        self.frequencies[int(np.argmax(self.frequencies))] += 256 - sum(self.frequencies)
        assert max(self.frequencies) < 256 and sum(self.frequencies) == 256

    def bytes(self):
        return (
            u(1, len(self.exponents), len(self.second))
            + bytes(self.exponents)
            + bytes(self.second)
            + bytes(self.frequencies[0::2])
            + bytes(self.frequencies[1::2])
        )


def split_words(data, layout):
    """Heads and low planes."""
    words = np.frombuffer(data, dtype="<u4" if layout == 3 else "<u2").astype(np.int64)
    if layout == 1:
        return words, []
    if layout == 2:
        return words >> 8, [(words & 255).astype(np.uint8).tobytes()]
    return words >> 16, [(words >> 8 & 255).astype(np.uint8).tobytes(), (words & 255).astype(np.uint8).tobytes()]


def head_fields(heads, layout, shifts):
    """Re-centred exponents, b and rests."""
    if layout == 2:
        return ((heads >> 2 & 31) - shifts) % 256, heads >> 1 & 1, heads >> 7 << 1 | heads & 1
    return ((heads >> 7 & 255) - shifts) % 256, heads >> 6 & 1, (heads & 63) << 1 | heads >> 15


def count_heads(data, layout, shifts=0):
    exponents, b, _ = head_fields(split_words(data, layout)[0], layout, shifts)
    return Counter(zip(exponents.tolist(), b.tolist(), strict=True))


def table_for(data, layout, palette=16, second=15, shifts=0):
    counts = count_heads(data, layout, shifts)
    exponents = Counter()
    for (exponent, _), count in counts.items():
        exponents[exponent] += count
    order = [exponent for exponent, _ in exponents.most_common()]
    return Table(order[:palette], order[palette : palette + second], counts)


def in_positions(values):
    """From elements to positions, as (iteration, block, position)."""
    position = np.arange(64)
    element = 8 * ((position >> 4) + 4 * ((position >> 3) & 1)) + (position & 7)
    return values.reshape(-1, 8, 64)[:, :, element]


def encode_stream(symbols, table, low_bytes):
    """rANS from the last block to the first. `symbols`: (block, lane). Returns the first states and the stream."""
    first = np.cumsum(table.frequencies) - table.frequencies
    states = [256 + int(low) for low in low_bytes]
    blocks = []
    for block in symbols[::-1]:
        emitted = bytearray()
        for lane, symbol in enumerate(block):
            x, f = states[lane], table.frequencies[symbol]
            if x >= 256 * f:
                emitted.append(x & 255)
                x >>= 8
            states[lane] = x // f << 8 | int(first[symbol]) + x % f
        blocks.append(bytes(emitted))
    return bytes(x & 255 for x in states) + bytes(x >> 8 for x in states), b"".join(blocks[::-1])


def rest_plane(rests, layout):
    rows = in_positions(rests)
    if layout == 2:
        return b"".join(
            bytes(sum(int(it[4 * r + t][p]) << 2 * t for t in range(4)) for p in range(64))
            for it in rows
            for r in range(2)
        )
    return b"".join(
        bytes(int(it[r][p]) | (int(it[7][p]) >> r & 1) << 7 for p in range(64)) for it in rows for r in range(7)
    )


def encode_patches(exponents, table):
    """Returns the patches and the exponents as they are to be coded."""
    out, coded, last = bytearray(), exponents.copy(), 0
    for word in np.flatnonzero(~np.isin(exponents, table.exponents)):
        gap = int(word) - last
        while gap >= 4095:
            out += u(2, 4095 << 4)
            gap -= 4095
        exponent = int(exponents[word])
        rank = table.second.index(exponent) if exponent in table.second else 15
        out += u(2, gap << 4 | rank) + (bytes([exponent]) if rank == 15 else b"")
        coded[word] = table.exponents[0]
        last = int(word)
    return bytes(out), coded


def float_payload(data, layout, table, *, own_table=False, row_shifts=None, shifts=0, low_planes=plane_stored):
    """One chunk. `shifts`: the sum of each word's row and column shift; `row_shifts`: the chunk's coded vector."""
    heads, planes = split_words(data, layout)
    coded_count = len(heads) // 512 * 512
    shifts = np.broadcast_to(shifts, heads.shape)
    exponents, b, rests = head_fields(heads[:coded_count], layout, shifts[:coded_count])
    patches, coded = encode_patches(exponents, table)
    states, streams, rest = b"", [b"", b""], b""
    if coded_count:
        symbols = np.array([2 * table.exponents.index(e) for e in coded.tolist()]) + b
        blocks = in_positions(symbols)
        full_rest = rest_plane(rests, layout)
        rest, carried = full_rest[:-128], full_rest[-128:]
        for stream in range(2):
            lanes = blocks[:, stream::2].reshape(-1, 64)
            first_states, streams[stream] = encode_stream(lanes, table, carried[64 * stream : 64 * stream + 64])
            states += first_states
    tail = heads[coded_count:].astype("u1" if layout == 2 else "<u2").tobytes()
    return (
        u(1, own_table)
        + bytes(3)
        + u(4, len(patches), len(streams[0]), len(streams[1]))
        + (table.bytes() if own_table else b"")
        + (row_shifts or b"")
        + states
        + rest
        + streams[0]
        + streams[1]
        + patches
        + tail
        + b"".join(low_planes(plane) for plane in planes)
    )


def float_side(layout, table, modes=0, columns=0, column_shifts=b""):
    return u(1, layout, modes) + bytes(2) + u(4, columns) + column_shifts + table.bytes()


# Context mixing -------------------------------------------------------------------------------------------------------


class BitEncoder:
    """The inverse of the decoder's: a number that grows without bounds, so that carries need no care."""

    def __init__(self):
        self.low, self.range, self.shifts = 0, (1 << 64) - 1, 0

    def bit(self, one, bit):
        bound = (self.range >> 16) * one
        if bit:
            self.range = bound
        else:
            self.low += bound
            self.range -= bound
        if self.range < 1 << 32:
            self.range <<= 32
            self.low <<= 32
            self.shifts += 1
        return bit

    def finish(self):
        return self.low.to_bytes(8 + 4 * self.shifts, "big")


def mixed_payload(
    data, dtype, columns, first_column=0, *, predicts=True, modelled_bits=2, base=None, plane=plane_stored
):
    """3.12.1. `base` is a typical exponent, by default the middle one."""
    exponent_bits, mantissa_bits, word_bytes, low_planes = LAYOUTS[dtype]
    words = np.frombuffer(data, dtype=f"<u{word_bytes}").astype(np.int64)
    low = [words >> 8 * p & 255 for p in reversed(range(low_planes))]
    words >>= 8 * low_planes
    exponents = words >> mantissa_bits & (1 << exponent_bits) - 1
    base = int(np.median(exponents)) if base is None else base
    scale = 12 * 256
    setting = Setting(predicts, modelled_bits, base, scale, columns, first_column, exponent_bits, mantissa_bits)
    low_bits = setting.raw_low_bits()
    raw = words & (1 << low_bits) - 1
    if not predicts:
        raw |= words >> setting.sign_at() << low_bits
    coder = BitEncoder()
    Model(setting, coder).words(words)
    head = u(1, predicts, modelled_bits, base, 0) + u(2, scale) + u(4, columns, first_column)
    return head + b"".join(plane(p.astype(np.uint8).tobytes()) for p in [raw, *low]) + coder.finish()


# Records and archives -------------------------------------------------------------------------------------------------


def block_side(block_type):
    return u(2, block_type) + bytes(6)


def record(dtype, chunk_elements, chunks, side=None, transform=1):
    """`chunks`: (decoded bytes, codec, payload); `transform`: of the side information. The record and its check."""
    table, frames = b"", b""
    for decoded, codec, payload in chunks:
        start = u(4, len(payload)) + u(1, codec) + bytes(3) + xxh3(decoded)
        frame = start + xxh3(start + xxh3(payload)) + payload
        table += u(4, len(frame)) + xxh3(decoded)
        frames += frame
    side_bytes = side or b""
    head = (
        b"FWR1"
        + u(4, 40 + len(side_bytes))
        + u(2, DTYPE_NUMBERS[dtype])
        + u(1, 0 if side is None else transform)
        + bytes(1)
        + u(4, chunk_elements)
        + u(8, sum(len(chunk[0]) for chunk in chunks))
        + bytes(8)
        + side_bytes
    )
    head += xxh3(head)
    return head + frames + table, xxh3(head + table)


def tree_digest(chunks):
    return hashlib.sha256(b"".join(hashlib.sha256(chunk).digest() for chunk in chunks)).digest()


def base_table(name, rows, base_identity=bytes(32), result_identity=bytes(32)):
    """The attribute of 1.5.3. `rows`: (name, content, dtype name and shape or None); contents are short samples."""
    value = base_identity + result_identity + u(2, len(name)) + name + u(4, len(rows))
    for row_name, content, tensor in rows:
        dtype, shape = tensor or ("opaque", ())
        value += u(1, tensor is not None, len(shape)) + u(2, DTYPE_NUMBERS[dtype]) + u(8, *shape)
        value += u(2, len(row_name)) + row_name + u(8, len(content)) + tree_digest([content]) + xxh3(content)
    return u(2, 7) + u(4, len(value)) + value


def patch_side(dtype, base_bytes):
    """3.14.1, without a predictor and dense chunks."""
    return u(2, DTYPE_NUMBERS[dtype]) + u(8, base_bytes) + u(1, 0, 0)


class Archive:
    """Collects records and files, then gives the archive's bytes."""

    def __init__(self, zstd_index=False, optional_features=0, required_features=0):
        header = b"\x89FLY\r\n\x1a\n" + u(2, 1, 64) + bytes(4) + u(8, required_features, optional_features) + bytes(24)
        self.header = header + xxh3(header)
        self.out = bytearray(self.header)
        self.zstd_index = zstd_index
        self.files = []
        self.contents = []
        self.extent_count = 0

    def section(self, kind, body, compress=False):
        stored = zstd(body) if compress else body
        start = kind + u(4, compress) + u(8, len(stored), len(body))
        return start + xxh3(start + stored) + stored

    def file(self, name=b"", container_format=0, sha256=True, attributes=b"", attribute_count=0):
        self.files.append([name, container_format, sha256, u(4, attribute_count) + attributes, []])
        self.contents.append(b"")

    def entry(self, what, path=b"", mode=0o644, modified=(0, 0), accessed=(0, 0), extra=None, **options):
        """An entry of a tree; `extra`: (kind, value) of a link's attribute."""
        times = b"".join(seconds.to_bytes(8, "little", signed=True) + u(4, ns) for seconds, ns in (modified, accessed))
        value = u(1, what, 0) + u(2, mode) + times
        attributes = u(2, 1) + u(4, len(value)) + value
        if extra is not None:
            attributes += u(2, extra[0]) + u(4, len(extra[1])) + extra[1]
        count = 1 if extra is None else 2
        self.file(path, sha256=what == 0, attributes=attributes, attribute_count=count, **options)

    def extent(self, kind, content, place, tensor=None, digest=None):
        """`tensor`: (name, dtype name or number, shape)."""
        out = u(1, kind, tensor is not None) + u(8, len(content))
        if tensor is not None:
            name, dtype, shape = tensor
            out += u(2, DTYPE_NUMBERS.get(dtype, dtype)) + u(1, len(shape), 0) + u(8, *shape) + u(2, len(name)) + name
            out += u(1, digest is not None) + (digest or bytes(32))
        self.files[-1][4].append(out + place)
        self.contents[-1] += content
        self.extent_count += 1
        return self.extent_count - 1

    def inline(self, content, tensor=None):
        digest = tree_digest([content] if content else []) if tensor else None
        return self.extent(0, content, u(4, len(content)) + content, tensor, digest)

    def record(self, dtype, chunk_elements, chunks, side=None, tensor=None, with_digest=True, transform=1):
        data, check = record(dtype, chunk_elements, chunks, side, transform)
        place = u(8, len(self.out), len(data)) + check
        self.out += data
        content = b"".join(chunk[0] for chunk in chunks)
        digest = tree_digest([chunk[0] for chunk in chunks]) if tensor and with_digest else None
        self.last_place = place
        return self.extent(1, content, place, tensor, digest)

    def same_as(self, number, content, tensor=None, digest=None):
        return self.extent(2, content, u(8, number), tensor, digest)

    def pieces(self, own, pieces, contents, tensor=None, digest=None):
        """`own`: (dtype, chunk elements, chunks) of the extent's own record, or None; `pieces`: (bytes, extent,
        offset); `contents`: what the records of the other extents decode to, by number."""
        place = u(8, 0)
        if own is not None:
            data, check = record(*own)
            contents = {**contents, self.extent_count: b"".join(chunk[0] for chunk in own[2])}
            place = u(8, len(contents[self.extent_count]), len(self.out), len(data)) + check
            self.out += data
        place += u(4, len(pieces)) + b"".join(u(8, size) + u(4, number) + u(8, at) for size, number, at in pieces)
        content = b"".join(contents[number][at : at + size] for size, number, at in pieces)
        return self.extent(4, content, place, tensor, digest(content) if digest else None)

    def cast(self, method, number, content, tensor, digest=None):
        return self.extent(5, content, u(1, method) + u(8, number), tensor, digest)

    def of_base(self, row, content, tensor=None, digest=None):
        return self.extent(7, content, u(8, row), tensor, digest)

    def patched(self, dtype, chunk_elements, chunks, side, base, depth, tensor=None):
        """`base`: 0 and the number of an extent, or 1 and that of a row."""
        data, check = record(dtype, chunk_elements, chunks, side, transform=5)
        place = u(8, len(self.out), len(data)) + check + u(1, base[0]) + u(8, base[1]) + u(4, depth)
        self.out += data
        content = b"".join(chunk[0] for chunk in chunks)
        return self.extent(6, content, place, tensor, tree_digest([content]) if tensor else None)

    def index_body(self):
        body = u(4, len(self.files), 0)
        for file, content in zip(self.files, self.contents, strict=True):
            name, container_format, sha256, attributes, extents = file
            body += u(2, len(name)) + name + u(1, container_format, sha256)
            body += (hashlib.sha256(content).digest() if sha256 else bytes(32)) + u(8, len(content))
            body += attributes + u(8, len(extents)) + b"".join(extents)
        return body

    def finish(self, between=b""):
        """`between`: a section to stand between the two index sections."""
        index = self.section(b"INDX", self.index_body(), self.zstd_index)
        first = len(self.out)
        second = first + len(index) + len(between)
        footer = self.header + u(8, first, second, len(index), second + len(index) + 128) + bytes(16)
        return bytes(self.out + index + between + index) + footer + xxh3(footer) + b"FLYEND\r\n"
