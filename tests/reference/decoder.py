"""A second decoder of flyweight archives, written from docs/format.md alone.

It is slow, checks everything the document says must hold, and shares no code with the library: where both read a file
the same way, the document says what the bytes mean. Numbers in comments are sections of the document.

    python decoder.py ARCHIVE -o OUT      (OUT is a folder where the archive does not hold exactly one file)
"""

import argparse
import hashlib
import os
import pathlib
import sys
from dataclasses import dataclass, field, replace

from cursor import Cursor, FormatError, must, xxh3, zstd_frame
from dtypes import DTYPES, check_tensor_bytes, chunk_bytes_of
from lossy_codecs import DELTA, lossy_rows
from patch_places import (
    BASE,
    BASE_TABLE,
    PATCHED,
    check_base,
    check_patches,
    identity_of,
    parse_base,
    parse_base_table,
    parse_patched,
)
from records import Record
from shared_places import CAST, PIECES, cast_from_f32, check_cast, check_pieces, parse_cast, parse_pieces, record_bytes

# 1. The archive -------------------------------------------------------------------------------------------------------


PATCHES = 1 << 1
LOSSY = 1 << 2
TREE = 1 << 3
CODECS = 1 << 4
SHARED = 1 << 5
KNOWN_FEATURES = PATCHES | LOSSY | TREE | CODECS | SHARED


def parse_header(header):
    """1.1, for a header whose checksum holds."""
    must(bytes(header[:8]) == b"\x89FLY\r\n\x1a\n", "not a flyweight archive")
    cursor = Cursor(header[8:56])
    must(cursor.uint(2) == 1, "a format version that this decoder does not know")
    must(cursor.uint(2) == 64, "a header of another size")
    cursor.zeros(4, "header")
    features = cursor.uint(8)
    must(features & ~KNOWN_FEATURES == 0, "the archive needs features that this decoder does not have")
    cursor.uint(8)
    cursor.zeros(24, "header")
    return features


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
    lossy: tuple = None  # 1.5.1: side information, largest and mean error
    record: tuple = ()
    same_as: int = 0
    own_bytes: int = 0  # 1.4.1
    pieces: list = ()
    cast: tuple = ()  # 1.4.2: method and number
    base: tuple = ()  # 1.4.3: 0 or 1, and the number of an extent or a row
    depth: int = 0


@dataclass
class File:
    name: bytes
    container_format: int
    sha256: bytes
    file_bytes: int
    extents: list = field(default_factory=list)
    entry: tuple = None  # 1.5: what, mode, modified (s, ns), accessed (s, ns)
    attributes: dict = None  # 1.5: the values by kind
    link_target: bytes = None
    hard_link_to: int = None


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
        check_tensor_bytes(extent)
    must(kind == 0 or decoded_bytes > 0, "an extent without bytes must be inline")
    if kind == 0:
        extent.inline = bytes(cursor.take(cursor.uint(4)))
        must(len(extent.inline) == decoded_bytes <= 4096, "inline bytes of another size")
    elif kind == 1:
        extent.record = cursor.uint(8), cursor.uint(8), cursor.uint(8)
    elif kind == 2:
        extent.same_as = cursor.uint(8)
        must(extent.same_as < len(earlier), "the same as an extent that is not before it")
        other = earlier[extent.same_as]
        must(
            other.kind != 2 and other.decoded_bytes == decoded_bytes,
            "the same as an extent that cannot be the same",
        )
    elif kind == PIECES:
        parse_pieces(cursor, extent)
        check_pieces(extent, [*earlier, extent])
    elif kind == CAST:
        parse_cast(cursor, extent)
    elif kind == PATCHED:
        parse_patched(cursor, extent)
    elif kind == BASE:
        parse_base(cursor, extent)
    else:
        raise FormatError(f"extents of kind {kind} are unknown")
    if extent.record:
        offset, size, _ = extent.record
        must(offset >= 64 and offset + size <= index_offset, "a record outside of its place")
    return extent


FILE, DIRECTORY, SYMLINK, HARD_LINK = range(4)


def parse_entry(value):
    cursor = Cursor(value)
    what = cursor.uint(1)
    cursor.zeros(1, "entry")
    mode = cursor.uint(2)
    times = []
    for _ in range(2):
        seconds = int.from_bytes(cursor.take(8), "little", signed=True)
        nanoseconds = cursor.uint(4)
        must(nanoseconds < 10**9, "a time with a second or more of nanoseconds")
        times.append((seconds, nanoseconds))
    cursor.end("entry")
    must(what <= HARD_LINK and mode < 1 << 12, "an entry of unknown kind or mode")
    return what, mode, *times


def parse_attributes(cursor, file, is_tree):
    """1.5"""
    values = {}
    for _ in range(cursor.uint(4)):
        kind, value = cursor.uint(2), bytes(cursor.take(cursor.uint(4)))
        must(kind not in range(1, 8) or kind not in values, "an attribute twice")
        values[kind] = value
    file.attributes = values
    must(is_tree or not values.keys() & {1, 2, 3}, "an attribute of trees in an archive that is none")
    if not is_tree:
        return
    must(1 in values, "an entry that says not what it is")
    file.entry = parse_entry(values[1])
    must((file.entry[0] == SYMLINK) == (2 in values), "a link without target, or a target without link")
    must((file.entry[0] == HARD_LINK) == (3 in values), "a hard link without file, or a file without hard link")
    file.link_target = values.get(2)
    must(file.link_target is None or (0 < len(file.link_target) < 4096 and b"\0" not in file.link_target), "no target")
    if 3 in values:
        must(len(values[3]) == 4, "a hard link of another size")
        file.hard_link_to = int.from_bytes(values[3], "little")


def check_tree(files):
    """1.5"""
    must(files and files[0].name == b"" and files[0].entry[0] == DIRECTORY, "a tree without root")
    kinds, last = {b"": DIRECTORY}, []
    for number, file in enumerate(files[1:], 1):
        parts = file.name.split(b"/")
        must(
            all(0 < len(part) <= 255 and part not in (b".", b"..") and b"\0" not in part for part in parts),
            "a path that is none",
        )
        must(kinds.get(b"/".join(parts[:-1])) == DIRECTORY, "an entry without its directory")
        must(last < parts, "entries out of order")
        kinds[file.name], last = file.entry[0], parts
        if file.entry[0] == HARD_LINK:
            must(file.hard_link_to < number and files[file.hard_link_to].entry[0] == FILE, "a hard link to no file")
    for file in files:
        must(
            file.entry[0] == FILE or (not file.extents and file.sha256 is None and file.container_format == 0),
            "content of what is no file",
        )


def check_lossy(file, is_lossy):
    """1.5.1"""
    must(is_lossy or 5 not in file.attributes, "lossy tensors in an archive that says it has none")
    must(5 not in file.attributes or 4 in file.attributes, "lossy tensors of a file without its original")
    must(len(file.attributes.get(4, bytes(40))) == 40, "an original of another size")
    rows = lossy_rows(file.attributes[5], file.extents, [name for name, _ in DTYPES]) if 5 in file.attributes else {}
    for number, extent in enumerate(file.extents):
        extent.lossy = rows.get(number)


def table_of(files):
    """1.5.3; nothing where there is none."""
    must(all(BASE_TABLE not in file.attributes for file in files[1:]), "a base table that is not the first file's")
    if not files or BASE_TABLE not in files[0].attributes:
        return None
    return parse_base_table(
        files[0].attributes[BASE_TABLE],
        lambda dtype, shape, size: check_tensor_bytes(Extent(0, size, dtype=dtype, shape=shape)),
    )


def parse_index(body, index_offset, is_tree, is_lossy, is_shared, is_patch):
    """1.4. The files, and the base table where there is one."""
    cursor = Cursor(body)
    file_count = cursor.uint(4)
    cursor.zeros(4, "index")
    files, earlier = [], []
    for _ in range(file_count):
        name = bytes(cursor.take(cursor.uint(2)))
        must(
            is_tree or (b"/" not in name and b"\0" not in name and name not in (b".", b"..")),
            "a file name that is none",
        )
        container_format, has_sha256, sha256 = cursor.uint(1), cursor.uint(1), bytes(cursor.take(32))
        must(has_sha256 <= 1 and (has_sha256 or not any(sha256)), "has_sha256 and sha256 disagree")
        file = File(name, container_format, sha256 if has_sha256 else None, cursor.uint(8))
        parse_attributes(cursor, file, is_tree)
        for _ in range(cursor.uint(8)):
            file.extents.append(parse_extent(cursor, earlier, index_offset))
            earlier.append(file.extents[-1])
        check_lossy(file, is_lossy)
        must(
            sum(extent.decoded_bytes for extent in file.extents) == file.file_bytes,
            "extents that are not the file's bytes",
        )
        files.append(file)
    cursor.end("index")
    must(
        is_shared or all(extent.kind not in (PIECES, CAST) for extent in earlier), "extents made of others, unannounced"
    )
    table = table_of(files) if is_patch else None
    must(is_patch or all(extent.kind < PATCHED for extent in earlier), "patches, unannounced")
    check_patches(earlier, table)
    for extent in earlier:
        if extent.kind == CAST:
            check_cast(extent, earlier, {number: name for number, (name, _) in enumerate(DTYPES)})
    if is_tree:
        check_tree(files)
    return files, table


class Archive:
    """An archive in memory. `files` is its index, `damage` what was found bad but is there twice. `base` holds the
    bytes of all rows of the base table, one behind the other."""

    def __init__(self, data, base=b""):
        self.data = data = memoryview(data)
        self.damage = []
        must(len(data) >= 64 + 128 + 64, "too short for an archive")
        header, footer = data[:64], data[-128:]
        must(bytes(footer[120:]) == b"FLYEND\r\n", "the archive is cut off, or is none")
        must(hash_holds(footer[:120]), "the footer does not have its checksum")
        must(hash_holds(footer[:64]), "the footer's copy of the header does not have its checksum")
        features = parse_header(footer[:64])
        self.is_tree, self.is_lossy = bool(features & TREE), bool(features & LOSSY)
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
        body = section_body(sections[0] if held[0] else sections[1])
        self.files, self.table = parse_index(
            body, first, self.is_tree, self.is_lossy, bool(features & SHARED), bool(features & PATCHES)
        )
        self.extents = [extent for file in self.files for extent in file.extents]
        self.rows = self.cut_base(base) if self.table else []

    def cut_base(self, base):
        rows, at = [], 0
        for row in self.table.rows:
            rows.append(base[at : at + row.size])
            at += row.size
        check_base(self.table, rows, chunk_bytes_of)
        must(at == len(base), "a base of another size")
        if any(self.table.result_identity):
            must(identity_of(self.files) == self.table.result_identity, "the result has another identity")
        return rows

    def chunks(self, extent):
        """The decoded chunks of an extent, checked."""
        holder = self.extents[extent.same_as] if extent.kind == 2 else extent
        if holder.kind == 0:
            return [holder.inline] if holder.inline else []
        if holder.kind in (PIECES, CAST, PATCHED, BASE):
            content = self.content_of_others(holder)
            size = chunk_bytes_of(extent.dtype)
            return [content[i : i + size] for i in range(0, len(content), size)]
        offset, size, check = holder.record
        record = Record(self.data[offset : offset + size], check)
        must(record.lossy is None or self.is_lossy, "a lossy record in an archive that says it has none")
        said = extent.lossy[0] if extent.lossy else None
        must(said == (record.lossy and replace(record.lossy, floats=None)), "lossy in another way than the index says")
        must(record.decoded_bytes == extent.decoded_bytes, "a record that does not have its extent's size")
        return list(record.chunks())

    def content_of_others(self, extent):
        """1.4.1 to 1.4.3"""
        if extent.kind == BASE:
            return self.rows[extent.base[1]]
        if extent.kind == PATCHED:
            return self.patched_content(extent)
        if extent.kind == CAST:
            method, number = extent.cast
            source = self.extents[number]
            return cast_from_f32(
                method, self.content_of_others(source) if source.kind == PIECES else self.record_content(source)
            )
        contents = {number: self.record_content(self.extents[number]) for _, number, _ in extent.pieces}
        return b"".join(contents[number][offset : offset + size] for size, number, offset in extent.pieces)

    def patched_content(self, extent):
        """1.4.3, from the patch that stands on none to this one."""
        chain = [extent]
        while chain[-1].base[0] == 0 and self.extents[chain[-1].base[1]].kind == PATCHED:
            chain.append(self.extents[chain[-1].base[1]])
        where, number = chain[-1].base
        content = self.rows[number] if where else b"".join(self.chunks(self.extents[number]))
        for link in reversed(chain):
            offset, size, check = link.record
            record = Record(self.data[offset : offset + size], check, content)
            must(record.decoded_bytes == link.decoded_bytes, "a record that does not have its extent's size")
            self.check_lossy_patch(link, record.lossy_patch)
            content = b"".join(record.chunks())
        return content

    def check_lossy_patch(self, extent, patch):
        """1.5.1"""
        must((patch is None) == (extent.lossy is None), "a patch that is lossy in another way than the index says")
        if patch is None:
            return
        must(self.is_lossy, "a lossy patch in an archive that says it has none")
        must((extent.lossy[0].method, extent.lossy[0].bits) == (DELTA, patch.method), "another lossy patch")

    def record_content(self, extent):
        """What a record decodes to that others are made of."""
        offset, size, check = extent.record
        record = Record(self.data[offset : offset + size], check)
        must(record.lossy is None, "an extent made of a lossy record")
        must(record.decoded_bytes == record_bytes(extent), "a record that does not have its extent's size")
        return b"".join(record.chunks())

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


def write_tree(archive, contents, root):
    """Makes the entries in their order; modes and times last, deepest first."""
    paths = [root / file.name.decode("utf-8", "surrogateescape") for file in archive.files]
    for file, path, content in zip(archive.files, paths, contents, strict=True):
        what = file.entry[0]
        if what == DIRECTORY:
            path.mkdir()
        elif what == SYMLINK:
            path.symlink_to(file.link_target.decode("utf-8", "surrogateescape"))
        elif what == HARD_LINK:
            path.hardlink_to(paths[file.hard_link_to])
        else:
            path.write_bytes(content)
    for file, path in reversed(list(zip(archive.files, paths, strict=True))):
        what, mode, modified, accessed = file.entry
        if what in (FILE, DIRECTORY):
            path.chmod(mode)
        times = tuple(seconds * 10**9 + nanoseconds for seconds, nanoseconds in (accessed, modified))
        os.utime(path, ns=times, follow_symlinks=False)


def write_files(archive, contents, output):
    if archive.is_tree:
        write_tree(archive, contents, output)
    elif len(contents) == 1:
        output.write_bytes(contents[0])
    else:
        output.mkdir()
        for file, content in zip(archive.files, contents, strict=True):
            (output / file.name.decode("utf-8", "surrogateescape")).write_bytes(content)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=pathlib.Path)
    parser.add_argument("-o", "--output", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    try:
        archive = Archive(arguments.archive.read_bytes())
        contents = [archive.decode_file(file) for file in archive.files]
        names = {file.name for file in archive.files}
        must(
            archive.is_tree or len(contents) == 1 or (b"" not in names and len(names) == len(contents)),
            "files without names of their own",
        )
    except FormatError as error:
        sys.exit(f"{arguments.archive}: {error}")
    for part in archive.damage:
        print(f"{arguments.archive}: the {part} is damaged, its copy was used", file=sys.stderr)
    write_files(archive, contents, arguments.output)


if __name__ == "__main__":
    main()
