"""A second decoder of flyweight archives, written from docs/format.md alone.

It is slow, checks everything the document says must hold, and shares no code with the library: where both read a file
the same way, the document says what the bytes mean. Numbers in comments are sections of the document.

    python decoder.py ARCHIVE -o OUT      (OUT is a folder where the archive does not hold exactly one file)
"""

import argparse
import hashlib
import pathlib
import sys
from dataclasses import dataclass, field

from chunk_codecs import WINDOW_LIMIT, float_fields, float_side, planes
from cursor import Cursor, FormatError, must, xxh3, zstd_frame

# 4. Dtypes: name and bits, by number.
DTYPES = [
    ("opaque", 8),
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("U16", 16),
    ("I16", 16),
    ("U32", 32),
    ("I32", 32),
    ("U64", 64),
    ("I64", 64),
    ("F16", 16),
    ("BF16", 16),
    ("F32", 32),
    ("F64", 64),
    ("C64", 64),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
]


# 2. Records -----------------------------------------------------------------------------------------------------------


class Record:
    """2: one record, whole in memory. `chunks()` gives the decoded chunks."""

    def __init__(self, data, check):
        must(len(data) >= 40, "a record without a head")
        must(bytes(data[:4]) == b"FWR1", "a record without its magic")
        head_bytes = int.from_bytes(data[4:8], "little")
        must(40 <= head_bytes <= min(1 << 21, len(data)), "a record's head of impossible size")
        head = data[:head_bytes]
        must(xxh3(head[:-8]) == int.from_bytes(head[-8:], "little"), "a record's head does not have its checksum")
        cursor = Cursor(head[8:-8])
        dtype, transform = cursor.uint(2), cursor.uint(1)
        must(dtype < len(DTYPES), f"dtype {dtype} is unknown")
        name, bits = DTYPES[dtype]
        self.element_bytes = max(bits // 8, 1)
        cursor.zeros(1, "record")
        chunk_elements = cursor.uint(4)
        self.chunk_bytes = chunk_elements * self.element_bytes
        must(1 <= self.chunk_bytes <= 4 << 20, "a record's chunks are empty or over 4 MiB")
        self.decoded_bytes = cursor.uint(8)
        must(self.decoded_bytes % self.element_bytes == 0, "a record that does not end with an element")
        cursor.zeros(8, "record")
        must(transform <= 1, f"transform {transform} is unknown")
        self.side = float_side(cursor.take(cursor.left()), name) if transform == 1 else None
        cursor.end("record head")
        chunk_count = -(-self.decoded_bytes // self.chunk_bytes)
        must(chunk_count * 36 <= len(data) - head_bytes, "a record too small for its chunks")
        table = data[len(data) - 12 * chunk_count :]
        must(xxh3(head, table) == check, "a record's head or chunk table is not the one the index names")
        self.table = [
            (int.from_bytes(table[i : i + 4], "little"), int.from_bytes(table[i + 4 : i + 12], "little"))
            for i in range(0, len(table), 12)
        ]
        must(
            head_bytes + sum(entry[0] for entry in self.table) + len(table) == len(data),
            "a record whose parts do not add up",
        )
        self.frames = Cursor(data[head_bytes : len(data) - len(table)])

    def chunks(self):
        for index, (frame_bytes, decoded_hash) in enumerate(self.table):
            offset = index * self.chunk_bytes
            chunk_bytes = min(self.chunk_bytes, self.decoded_bytes - offset)
            chunk = self.decode_frame(self.frames.take(frame_bytes), decoded_hash, chunk_bytes, offset)
            must(len(chunk) == chunk_bytes and xxh3(chunk) == decoded_hash, f"chunk {index} does not have its checksum")
            yield chunk

    def decode_frame(self, frame, decoded_hash, chunk_bytes, offset):
        """2.2 and the table of 3."""
        cursor = Cursor(frame)
        payload_bytes, codec = cursor.uint(4), cursor.uint(1)
        cursor.zeros(3, "frame")
        must(cursor.uint(8) == decoded_hash, "a frame and the chunk table disagree")
        encoded_hash = cursor.uint(8)
        payload = cursor.take(payload_bytes)
        cursor.end("frame")
        must(payload_bytes <= chunk_bytes + 64, "a payload over its bound")
        must(
            encoded_hash == xxh3(frame[:16], xxh3(payload).to_bytes(8, "little")), "a frame does not have its checksum"
        )
        if codec == 0:
            return bytes(payload)
        if codec == 1:
            must(len(payload) == self.element_bytes, "a constant chunk must hold one element")
            return bytes(payload) * (chunk_bytes // self.element_bytes)
        if codec == 2:
            return zstd_frame(payload, chunk_bytes, WINDOW_LIMIT)
        if codec == 3:
            return planes(payload, self.element_bytes, chunk_bytes)
        must(codec == 4, f"codec {codec} is unknown")
        must(self.side is not None, "a float frame in a record without float fields")
        return float_fields(payload, self.side, chunk_bytes, offset)


# 1. The archive -------------------------------------------------------------------------------------------------------


def parse_header(header):
    """1.1, for a header whose checksum holds."""
    must(bytes(header[:8]) == b"\x89FLY\r\n\x1a\n", "not a flyweight archive")
    cursor = Cursor(header[8:56])
    must(cursor.uint(2) == 1, "a format version that this decoder does not know")
    must(cursor.uint(2) == 64, "a header of another size")
    cursor.zeros(4, "header")
    must(cursor.uint(8) == 0, "the archive needs features that this decoder does not have")
    cursor.uint(8)
    cursor.zeros(24, "header")


def hash_holds(data):
    return xxh3(data[:-8]) == int.from_bytes(data[-8:], "little")


def section_holds(section):
    return xxh3(section[:24], section[32:]) == int.from_bytes(section[24:32], "little")


def section_body(section):
    """1.3"""
    cursor = Cursor(section)
    must(bytes(cursor.take(4)) == b"INDX", "an index section of another kind")
    method, stored_bytes, decoded_bytes = cursor.uint(4), cursor.uint(8), cursor.uint(8)
    must(stored_bytes == len(section) - 32 and decoded_bytes <= 1 << 30, "an index section of impossible size")
    if method == 1:
        return zstd_frame(section[32:], decoded_bytes)
    must(method == 0, f"section method {method} is unknown")
    must(stored_bytes == decoded_bytes, "a stored section of another size")
    return bytes(section[32:])


@dataclass
class Extent:
    """1.4; `content` is None until decoded."""

    kind: int
    decoded_bytes: int
    tensor_name: bytes = None
    dtype: int = 0
    shape: tuple = ()
    digest_algorithm: int = 0
    digest: bytes = bytes(32)
    inline: bytes = b""
    record: tuple = ()
    same_as: int = 0


@dataclass
class File:
    name: bytes
    container_format: int
    sha256: bytes
    file_bytes: int
    extents: list = field(default_factory=list)


def parse_extent(cursor, earlier, index_offset):
    kind, is_tensor, decoded_bytes = cursor.uint(1), cursor.uint(1), cursor.uint(8)
    must(is_tensor <= 1, "is_tensor must be 0 or 1")
    extent = Extent(kind, decoded_bytes)
    if is_tensor:
        extent.dtype, rank = cursor.uint(2), cursor.uint(1)
        cursor.zeros(1, "tensor")
        extent.shape = tuple(cursor.uint(8) for _ in range(rank))
        extent.tensor_name = bytes(cursor.take(cursor.uint(2)))
        extent.digest_algorithm, extent.digest = cursor.uint(1), bytes(cursor.take(32))
        must(extent.digest_algorithm <= 1, "a digest of an unknown kind")
        must(extent.digest_algorithm or not any(extent.digest), "a digest that is not there must be 0")
        if 0 < extent.dtype < len(DTYPES):
            bits = DTYPES[extent.dtype][1]
            for dimension in extent.shape:
                bits *= dimension
            must(bits == 8 * decoded_bytes, "a tensor whose shape does not give its bytes")
    must(kind == 0 or decoded_bytes > 0, "an extent without bytes must be inline")
    if kind == 0:
        extent.inline = bytes(cursor.take(cursor.uint(4)))
        must(len(extent.inline) == decoded_bytes <= 4096, "inline bytes of another size")
    elif kind == 1:
        offset, size, _ = extent.record = cursor.uint(8), cursor.uint(8), cursor.uint(8)
        must(offset >= 64 and offset + size <= index_offset, "a record outside of its place")
    elif kind == 2:
        extent.same_as = cursor.uint(8)
        must(extent.same_as < len(earlier), "the same as an extent that is not before it")
        other = earlier[extent.same_as]
        must(
            other.kind in (0, 1) and other.decoded_bytes == decoded_bytes,
            "the same as an extent that cannot be the same",
        )
    else:
        raise FormatError(f"extents of kind {kind} are unknown")
    return extent


def parse_index(body, index_offset):
    """1.4"""
    cursor = Cursor(body)
    file_count = cursor.uint(4)
    cursor.zeros(4, "index")
    files, earlier = [], []
    for _ in range(file_count):
        name = bytes(cursor.take(cursor.uint(2)))
        must(b"/" not in name and b"\0" not in name and name not in (b".", b".."), "a file name that is none")
        container_format, has_sha256, sha256 = cursor.uint(1), cursor.uint(1), bytes(cursor.take(32))
        must(has_sha256 <= 1 and (has_sha256 or not any(sha256)), "has_sha256 and sha256 disagree")
        file = File(name, container_format, sha256 if has_sha256 else None, cursor.uint(8))
        for _ in range(cursor.uint(4)):
            cursor.uint(2)
            cursor.take(cursor.uint(4))
        for _ in range(cursor.uint(8)):
            file.extents.append(parse_extent(cursor, earlier, index_offset))
            earlier.append(file.extents[-1])
        must(
            sum(extent.decoded_bytes for extent in file.extents) == file.file_bytes,
            "extents that are not the file's bytes",
        )
        files.append(file)
    cursor.end("index")
    return files


class Archive:
    """An archive in memory. `files` is its index, `damage` what was found bad but is there twice."""

    def __init__(self, data):
        self.data = data = memoryview(data)
        self.damage = []
        must(len(data) >= 64 + 128 + 64, "too short for an archive")
        header, footer = data[:64], data[-128:]
        must(bytes(footer[120:]) == b"FLYEND\r\n", "the archive is cut off, or is none")
        must(hash_holds(footer[:120]), "the footer does not have its checksum")
        must(hash_holds(footer[:64]), "the footer's copy of the header does not have its checksum")
        parse_header(footer[:64])
        if hash_holds(header):
            must(header == footer[:64], "header and footer disagree")
        else:
            self.damage.append("header")
        cursor = Cursor(footer[64:112])
        first, second, section_bytes, archive_bytes = (cursor.uint(8) for _ in range(4))
        cursor.zeros(16, "footer")
        must(archive_bytes == len(data), "the archive has another length")
        must(section_bytes >= 32 and first >= 64, "index sections out of place")
        must(
            first + section_bytes <= second and second + section_bytes <= len(data) - 128, "index sections out of place"
        )
        sections = [data[offset : offset + section_bytes] for offset in (first, second)]
        held = [section_holds(section) for section in sections]
        must(any(held), "both index sections are damaged")
        must(not all(held) or sections[0] == sections[1], "the index sections disagree")
        self.damage += [name for name, good in zip(("first index", "second index"), held, strict=True) if not good]
        self.files = parse_index(section_body(sections[0] if held[0] else sections[1]), first)
        self.extents = [extent for file in self.files for extent in file.extents]

    def chunks(self, extent):
        """The decoded chunks of an extent, checked."""
        holder = self.extents[extent.same_as] if extent.kind == 2 else extent
        if holder.kind == 0:
            return [holder.inline] if holder.inline else []
        offset, size, check = holder.record
        record = Record(self.data[offset : offset + size], check)
        must(record.decoded_bytes == extent.decoded_bytes, "a record that does not have its extent's size")
        return list(record.chunks())

    def decode_extent(self, extent):
        chunks = self.chunks(extent)
        if extent.digest_algorithm == 1:
            tree = hashlib.sha256(b"".join(hashlib.sha256(chunk).digest() for chunk in chunks))
            must(tree.digest() == extent.digest, "a tensor does not have its digest")
        return b"".join(chunks)

    def decode_file(self, file):
        content = b"".join(self.decode_extent(extent) for extent in file.extents)
        must(
            file.sha256 is None or hashlib.sha256(content).digest() == file.sha256, "the file does not have its SHA-256"
        )
        return content


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    try:
        archive = Archive(arguments.archive.read_bytes())
        contents = [archive.decode_file(file) for file in archive.files]
        names = [file.name.decode("utf-8", "surrogateescape") for file in archive.files]
        must(len(contents) == 1 or (all(names) and len(set(names)) == len(names)), "files without names of their own")
    except FormatError as error:
        sys.exit(f"{arguments.archive}: {error}")
    for part in archive.damage:
        print(f"{arguments.archive}: the {part} is damaged, its copy was used", file=sys.stderr)
    if len(contents) == 1:
        arguments.output.write_bytes(contents[0])
        return
    arguments.output.mkdir()
    for name, content in zip(names, contents, strict=True):
        (arguments.output / name).write_bytes(content)


if __name__ == "__main__":
    main()
