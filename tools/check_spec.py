#!/usr/bin/env python3
"""Checks that docs/format.md and the code agree on numbers: magics, field offsets, sizes, codec ids, dtypes, versions.

Usage: tools/check_spec.py   exit 0 = they agree, 1 = differences, one a line
"""

from __future__ import annotations

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SPEC = "docs/format.md"

Row = list[str]


def read(path: str) -> str:
    return (ROOT / path).read_text("utf-8")


def section(spec: str, number: str) -> str:
    """The text under the heading that starts with `number`, up to the next heading."""
    match = re.search(rf"^#+ {re.escape(number)}\.? .*?$(.*?)(?=^#|\Z)", spec, re.MULTILINE | re.DOTALL)
    if match is None:
        raise SystemExit(f"{SPEC}: no section {number}")
    return match.group(1)


def table(text: str) -> list[Row]:
    """The rows of the tables in `text`, heads and rules left out."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    return [row for index, row in enumerate(rows) if not set(row[0]) <= set("-: ") and not _is_head(rows, index)]


def _is_head(rows: list[Row], index: int) -> bool:
    return index + 1 < len(rows) and rows[index + 1][0] != "" and set(rows[index + 1][0]) <= set("-: ")


def offset_of(rows: list[Row], field: str) -> tuple[int, int]:
    """Offset and bytes of the row whose field starts with `field`."""
    for offset, size, text in rows:
        if text.startswith(field):
            return int(offset), int(size or 0)
    raise SystemExit(f"{SPEC}: no field '{field}'")


def constants(path: str) -> dict[str, int]:
    """The `inline constexpr TYPE kName = EXPRESSION;` of a header, of which the expression is plain arithmetic."""
    found: dict[str, int] = {}
    for name, expression in re.findall(r"constexpr \w+ (k\w+) =\s*([^;]+);", read(path)):
        plain = re.sub(
            r"\b(?:uint|u?int)\w*_t\{(\d+)\}|\bsize_t\{(\d+)\}", lambda m: m.group(1) or m.group(2), expression
        )
        plain = re.sub(r"\bk[A-Z]\w*\b", lambda m: str(found.get(m.group(0), "unknown")), plain).replace("'", "")
        # Digits and operators only, so that it can be evaluated.
        if re.fullmatch(r"[\s0-9a-fA-FxX+*<>()-]+", plain):
            found[name] = int(eval(re.sub(r"\b0(?=[0-7])", "0o", plain), {"__builtins__": {}}))
    return found


def enum(path: str, name: str) -> dict[str, int]:
    match = re.search(rf"enum class {name}\b[^{{]*{{(.*?)}};", read(path), re.DOTALL)
    if match is None:
        raise SystemExit(f"{path}: no enum class {name}")
    return {entry: int(number) for entry, number in re.findall(r"(k\w+) = (\d+)", match.group(1))}


def magic(text: str) -> int:
    digits = re.search(r"`((?:[0-9A-F]{2} ){3,7}[0-9A-F]{2})`", text)
    if digits is None:
        raise SystemExit(f"{SPEC}: no magic in '{text}'")
    return int.from_bytes(bytes.fromhex(digits.group(1)), "little")


class Comparison:
    def __init__(self) -> None:
        self.count = 0
        self.differences: list[str] = []

    def same(self, what: str, in_code: object, in_spec: object) -> None:
        self.count += 1
        if in_code != in_spec:
            self.differences.append(f"{what}: {in_code} in the code, {in_spec} in {SPEC}")


def compare_wire(compare: Comparison, spec: str) -> None:
    wire = constants("src/archive/wire.h")
    header, footer, sections = (table(section(spec, number)) for number in ("1.1", "1.2", "1.3"))
    fields = (
        (header, "format version", "kHeaderVersionOffset"),
        (header, "header bytes", "kHeaderSizeOffset"),
        (header, "reserved", "kHeaderReservedOffset"),
        (header, "required features", "kHeaderRequiredFeaturesOffset"),
        (header, "optional features", "kHeaderOptionalFeaturesOffset"),
        (header, "xxh3", "kHeaderHashOffset"),
        (footer, "offset of the first", "kFooterFirstIndexOffset"),
        (footer, "offset of the second", "kFooterSecondIndexOffset"),
        (footer, "bytes of one index", "kFooterIndexBytesOffset"),
        (footer, "bytes of the whole", "kFooterArchiveBytesOffset"),
        (footer, "reserved", "kFooterReservedOffset"),
        (footer, "xxh3", "kFooterHashOffset"),
        (footer, "end magic", "kFooterMagicOffset"),
        (sections, "method", "kSectionMethodOffset"),
        (sections, "stored bytes", "kSectionStoredBytesOffset"),
        (sections, "bytes of the decoded", "kSectionDecodedBytesOffset"),
        (sections, "xxh3", "kSectionHashOffset"),
        (sections, "the body", "kSectionHeadBytes"),
    )
    for rows, field, name in fields:
        compare.same(f"wire.h {name}", wire.get(name), offset_of(rows, field)[0])
    compare.same("wire.h kHeaderMagic", wire.get("kHeaderMagic"), magic(header[0][2]))
    compare.same("wire.h kEndMagic", wire.get("kEndMagic"), magic(footer[-1][2]))
    for rows, name, title in ((header, "kHeaderBytes", "1.1 Header"), (footer, "kFooterBytes", "1.2 Footer")):
        stated = re.search(rf"{re.escape(title)} \((\d+) bytes", spec)
        compare.same(f"wire.h {name}", wire.get(name), int(stated.group(1)) if stated else None)
        last_offset, last_bytes = int(rows[-1][0]), int(rows[-1][1])
        compare.same(f"end of the fields of {title}", wire.get(name), last_offset + last_bytes)
    compare.same(
        "wire.h kSectionKindIndex",
        wire.get("kSectionKindIndex"),
        int.from_bytes(b"INDX", "little") if "`INDX`" in section(spec, "1.3") else None,
    )
    inline_max = re.search(r"inline:.*?at most (\d+)\)", section(spec, "1.4"))
    compare.same(
        "wire.h kInlineMaxBytes", wire.get("kInlineMaxBytes"), int(inline_max.group(1)) if inline_max else None
    )
    body_max = re.search(r"index body over 2\^(\d+) bytes", section(spec, "5"))
    compare.same(
        "wire.h kSectionBodyMaxBytes",
        wire.get("kSectionBodyMaxBytes"),
        1 << int(body_max.group(1)) if body_max else None,
    )
    version = re.search(r"format, version (\d+)", spec)
    compare.same("wire.h kFormatVersion", wire.get("kFormatVersion"), int(version.group(1)) if version else None)


def compare_parity(compare: Comparison, spec: str) -> None:
    wire = constants("src/archive/parity_wire.h")
    rows = table(section(spec, "7.2"))
    for field, name in (
        ("version of the parity", "kInfoVersionOffset"),
        ("bytes of this head", "kInfoSizeOffset"),
        ("number of the cell", "kInfoCellOffset"),
        ("identity", "kInfoIdentityOffset"),
        ("bytes of the first", "kInfoFirstBytesOffset"),
        ("bytes of the second", "kInfoSecondBytesOffset"),
        ("`B`", "kInfoBlockBytesOffset"),
        ("`m`", "kInfoParityRowsOffset"),
        ("`R`", "kInfoCodewordsOffset"),
        ("`q`", "kInfoParityCellsOffset"),
        ("reserved", "kInfoReservedOffset"),
        ("xxh3 of the table", "kInfoTableHashOffset"),
        ("xxh3 of bytes", "kInfoHashOffset"),
    ):
        compare.same(f"parity_wire.h {name}", wire.get(name), offset_of(rows, field)[0])
    compare.same("parity_wire.h kInfoMagic", wire.get("kInfoMagic"), magic(rows[0][2]))
    layout = constants("src/archive/parity_layout.h")
    compare.same("parity_layout.h kInfoHeadBytes", layout.get("kInfoHeadBytes"), int(rows[-1][0]))
    sizes = re.search(r"a power of two from (\d+) to 2\^(\d+)", section(spec, "7"))
    for name, number in (
        ("kParityBlockMinBytes", int(sizes.group(1)) if sizes else None),
        ("kParityBlockMaxBytes", 1 << int(sizes.group(2)) if sizes else None),
    ):
        compare.same(f"parity_layout.h {name}", layout.get(name), number)


def compare_shared(compare: Comparison, spec: str) -> None:
    """Extents that are made of others."""
    kinds = dict(re.findall(r"\| kind (\d+), (\w+)", section(spec, "1.4")))
    places = {str(number): name for name, number in enum("src/archive/reader.h", "PlaceKind").items()}
    for number, name in kinds.items():
        compare.same(f"reader.h PlaceKind {number}", places.get(number), f"k{name.capitalize()}")
    casts = table(section(spec, "1.4.2"))
    methods = enum("src/tensor/cast.h", "CastMethod")
    compare.same("cast.h CastMethod numbers", sorted(methods.values()), [int(row[0]) for row in casts])
    for number, dtype, _ in casts:
        name = next((name for name, value in methods.items() if value == int(number)), "")
        compare.same(f"cast.h CastMethod {number}", name.startswith(f"k{dtype}"), True)
    feature = re.search(r"(\d+) = extents made of others", section(spec, "1.1"))
    wire = constants("src/archive/wire.h")
    compare.same(
        "wire.h kFeatureShared",
        "kFeatureShared = uint64_t{1} << " + (feature.group(1) if feature else ""),
        (re.search(r"kFeatureShared = uint64_t\{1\} << \d+", read("src/archive/wire.h")) or [""])[0],
    )
    patches = re.search(r"(\d+) = patches against a base", section(spec, "1.1"))
    compare.same(
        "wire.h kFeaturePatches",
        "kFeaturePatches = uint64_t{1} << " + (patches.group(1) if patches else ""),
        (re.search(r"kFeaturePatches = uint64_t\{1\} << \d+", read("src/archive/wire.h")) or [""])[0],
    )
    depth = re.search(r"It must be at most (\d+)", section(spec, "1.4.3"))
    compare.same("wire.h kPatchDepthMax", wire.get("kPatchDepthMax"), int(depth.group(1)) if depth else None)
    row = re.search(r"a row of a base table (\d+)", section(spec, "5"))
    compare.same("wire.h kBaseRowMinBytes", wire.get("kBaseRowMinBytes"), int(row.group(1)) if row else None)
    piece = re.search(r"a piece (\d+)", section(spec, "5"))
    compare.same("wire.h kPieceBytes", wire.get("kPieceBytes"), int(piece.group(1)) if piece else None)


def compare_record(compare: Comparison, spec: str) -> None:
    record = constants("src/codec/record.h")
    frame = table(section(spec, "2.2"))
    compare.same(
        "record.h kFrameHeaderBytes",
        record.get("kFrameHeaderBytes"),
        offset_of(frame, "payload")[0] or int(frame[-1][0]),
    )
    entry = re.search(r"(\d+) bytes a chunk", section(spec, "2.3"))
    compare.same("record.h kChunkEntryBytes", record.get("kChunkEntryBytes"), int(entry.group(1)) if entry else None)
    head = re.search(r"head bytes, (\d+) to 2\^(\d+)", section(spec, "2.1"))
    compare.same(
        "record.h kRecordHeadMinBytes", record.get("kRecordHeadMinBytes"), int(head.group(1)) if head else None
    )
    compare.same(
        "record.h kRecordHeadMaxBytes", record.get("kRecordHeadMaxBytes"), 1 << int(head.group(2)) if head else None
    )
    chunk = re.search(r"chunk over (\d+) MiB", section(spec, "5"))
    compare.same("record.h kChunkMaxBytes", record.get("kChunkMaxBytes"), int(chunk.group(1)) << 20 if chunk else None)


def compare_dtypes(compare: Comparison, spec: str) -> None:
    rows = table(section(spec, "4"))
    in_spec = {
        int(row[at]): (row[at + 1], int(row[at + 2]))
        for row in rows
        for at in (0, 4, 8)
        if at + 2 < len(row) and row[at]
    }
    blocks = {
        int(row[at]): (row[at + 1], int(row[at + 2]), int(row[at + 3]))
        for row in table(section(spec, "4.1"))
        for at in (0, 5, 10)
        if at + 3 < len(row) and row[at]
    }
    in_code = {number: name for name, number in enum("include/flyweight/tensor.h", "DType").items()}
    compare.same("tensor.h DType numbers", sorted(in_code), sorted([*in_spec, *blocks]))
    source = read("src/tensor/dtype.cc")
    for number, (name, *sizes) in [*in_spec.items(), *blocks.items()]:
        spelled = in_code.get(number, "").removeprefix("k").upper()
        compare.same(f"tensor.h DType {number}", spelled, name.replace("_", "").upper())
        row = re.search(rf'\{{DType::{in_code.get(number)}, "([^"]+)", (\d+), \d+, \d+, (\d+), (\d+)\}}', source)
        bits, *block = [int(row.group(at)) for at in (2, 3, 4)] if row else [0]
        found = (row.group(1).upper(), *(block if number in blocks else [bits])) if row else None
        compare.same(f"dtype.cc row of dtype {number}", found, (name.upper(), *sizes))
    base = re.search(r"kGgmlDTypeBase = (\d+)", read("include/flyweight/tensor.h"))
    stated = re.search(r"Numbers (\d+) to \d+ are the types of ggml", section(spec, "4.1"))
    compare.same("tensor.h kGgmlDTypeBase", base and base.group(1), stated and stated.group(1))


def compare_parts(compare: Comparison, spec: str) -> None:
    number = re.search(r"^## (\d+)\. Parts$", spec, re.MULTILINE)
    text = section(spec, number.group(1)) if number else ""
    rows = table(text)
    code = constants("src/base/parts_format.h")
    fields = (
        ("version of parts", "kPartVersionOffset"),
        ("header bytes", "kPartSizeOffset"),
        ("number of the part", "kPartNumberOffset"),
        ("count of parts", "kPartCountOffset"),
        ("reserved", "kPartReservedOffset"),
        ("identity", "kPartIdentityOffset"),
        ("offset of the payload", "kPartPayloadOffsetOffset"),
        ("payload bytes", "kPartPayloadBytesOffset"),
        ("bytes of the whole", "kPartArchiveBytesOffset"),
        ("xxh3 of the payload", "kPartPayloadHashOffset"),
        ("xxh3 of bytes", "kPartHashOffset"),
    )
    for field, name in fields:
        compare.same(f"parts_format.h {name}", code.get(name), offset_of(rows, field)[0])
    compare.same("parts_format.h kPartMagic", code.get("kPartMagic"), magic(rows[0][2]))
    compare.same("parts_format.h kPartVersion", code.get("kPartVersion"), int(rows[1][2].split(", ")[1]))
    compare.same("parts_format.h kPartHeaderBytes", code.get("kPartHeaderBytes"), int(rows[2][2].split(", ")[1]))
    compare.same("end of the header of a part", code.get("kPartHeaderBytes"), int(rows[-1][0]) + int(rows[-1][1]))
    most = re.search(r"at most (\d+) parts", text)
    compare.same("parts_format.h kPartMaxCount", code.get("kPartMaxCount"), int(most.group(1)) if most else None)


def numbered(text: str) -> dict[str, int]:
    """The rows "number name" of a table, or of rows that start so: "0 stored" gives {"STORED": 0}."""
    found = {}
    for row in table(text):
        match = re.match(r"(\d+) (\w+(?: \w+)?)", row[0])
        if match:
            found[match.group(2).replace(" ", "").upper()] = int(match.group(1))
    return found


def in_words(text: str, pattern: str) -> dict[str, int]:
    """Numbers given in running text, `0 = none, 1 = float fields`, after `pattern`."""
    line = re.search(pattern + r"([^|\n]*)", text)
    return (
        {
            name.replace(" ", "").upper(): int(number)
            for number, name in re.findall(r"(\d+) = (\w+(?: \w+)?)", line.group(1))
        }
        if line
        else {}
    )


#: The enumerators of the container formats, by the names that the specification uses.
CONTAINER_FORMATS = {"PYTORCH ZIP": "TORCHZIP", "PYTORCH BEFORE ZIP": "TORCHLEGACY"}


def container_formats(text: str) -> dict[str, int]:
    """The list `container_format: 0 raw, 1 safetensors, ...`, by the names of the enumerators."""
    line = re.search(r"`container_format`: ([^.]*)\.", text)
    pairs = re.findall(r"(\d+) ([\w ]+)", line.group(1)) if line else []
    return {CONTAINER_FORMATS.get(name.upper(), name.upper()): int(number) for number, name in pairs}


def compare_numbers(compare: Comparison, spec: str) -> None:
    head = section(spec, "2.1")
    both = (
        ("src/codec/codec_id.h", "CodecId", numbered(section(spec, "3"))),
        ("src/codec/codec_id.h", "TransformId", in_words(head, "transform: ")),
        ("src/codec/plane_coder.h", "PlaneMethod", numbered(section(spec, "3.1"))),
        ("src/codec/shift_vector.cc", "ShiftMethod", numbered(section(spec, "3.4"))),
        ("src/transform/float_fields/float_fields.h", "FloatLayout", in_words(section(spec, "3.5"), "layout: ")),
        ("include/flyweight/lossy.h", "LossyMethod", in_words(section(spec, "3.6"), "method: ")),
        (
            "src/tensor/file_map.h",
            "ContainerFormat",
            container_formats(section(spec, "1.4")),
        ),
    )
    for path, name, in_spec in both:
        in_code = {entry.removeprefix("k").upper(): number for entry, number in enum(path, name).items()}
        compare.same(f"{path} {name}", in_code, in_spec)


def compare_versions(compare: Comparison, spec: str) -> None:
    version = re.search(r"project\(flyweight VERSION ([\d.]+)", read("CMakeLists.txt"))
    compare.same(
        "version that CHANGELOG.md starts with",
        re.findall(r"^## ([\d.]+)", read("CHANGELOG.md"), re.MULTILINE)[:1],
        [version.group(1)] if version else [],
    )
    newest = table(spec.split("\n## ")[0])[-1]
    stated = re.search(r"^Format: (\d+)", read("CHANGELOG.md"), re.MULTILINE)
    compare.same("format version that CHANGELOG.md names first", stated.group(1) if stated else None, newest[0])


def main() -> int:
    spec = read(SPEC)
    compare = Comparison()
    compare_wire(compare, spec)
    compare_parity(compare, spec)
    compare_shared(compare, spec)
    compare_record(compare, spec)
    compare_dtypes(compare, spec)
    compare_numbers(compare, spec)
    compare_parts(compare, spec)
    compare_versions(compare, spec)
    print("\n".join(compare.differences) if compare.differences else f"{compare.count} numbers agree with {SPEC}")
    return 1 if compare.differences or compare.count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
