#!/usr/bin/env python3
"""Checks who includes what.

Rooms include only rooms they may use, public headers only std and each other, and every third-party library stands
behind the files that docs/dependencies.md names. A second net under CMake's (cmake/FlyweightRoom.cmake).

Usage: tools/check_layers.py [ROOT]   exit 0 = clean, 1 = violations, one a line
"""

from __future__ import annotations

import pathlib
import re
import sys

# Which rooms a room's files may include, besides their own. ARCHITECTURE.md shows the same.
ROOMS: dict[str, set[str]] = {
    "base": set(),
    "tree": {"base"},
    "simd": {"base"},
    "tensor": {"base"},
    "container": {"base", "tensor"},
    "strip": {"base", "tensor", "container"},
    "transform": {"base", "simd", "tensor"},
    "entropy": {"base", "simd"},
    "erasure": {"base", "simd"},
    "lossy": {"base", "simd", "tensor"},
    "codec": {"base", "simd", "tensor", "transform", "entropy", "lossy"},
    "archive": {"base", "tensor", "entropy", "codec", "erasure"},
    "delta": {"base", "tensor", "container", "codec", "archive"},
    "pipeline": {
        "base",
        "tree",
        "simd",
        "tensor",
        "container",
        "strip",
        "entropy",
        "lossy",
        "codec",
        "archive",
        "delta",
    },
    "sync": {"base", "tensor", "entropy", "codec", "archive", "pipeline"},
}

# Faces see the public headers alone; what measures or attacks the insides may include them.
FACES = {"cli", "python"}
INSIDERS = {"tests", "fuzz", "bench"}

# What the faces may see beyond the public headers, header by header.
EXCEPTIONS: dict[str, set[str]] = {
    "cli": {
        "base/file.h",  # RemoveTemporaryFiles, for the signal handler
        "simd/isa.h",  # --version names the instruction set
        "archive/wire.h",  # --version names the format version
    },
}

# Third-party headers, by their beginning, and the only files that may include them. Tests include what they like.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "zstd": ("src/entropy/", "src/archive/section"),
    "xxhash": ("src/base/hash", "src/base/xxh3"),
    "openssl/": ("src/base/sha256",),
    "nlohmann/": ("src/container/", "cli/"),
    "CLI/": ("cli/",),
    "nanobind/": ("python/",),
    "immintrin": ("src/simd/", "src/transform/", "src/entropy/", "src/erasure/", "src/codec/"),
    "arm_neon": ("src/simd/", "src/transform/", "src/entropy/", "src/erasure/", "src/codec/"),
    "x86intrin": ("src/simd/", "src/transform/", "src/entropy/", "src/erasure/", "src/codec/"),
    "gtest/": (),
    "gmock/": (),
}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SUFFIXES = {".h", ".cc", ".cu", ".inc"}


def owner(path: str) -> str:
    """The room of src/ROOM/..., else the top folder: "include", "cli", "tests", ..."""
    parts = path.split("/")
    return parts[1] if parts[0] == "src" else parts[0]


def is_test(path: str) -> bool:
    """Test programs in the rooms, and the headers they share: NAME_test.cc, NAME_test_tools.h."""
    return re.search(r"_test(_\w+)?\.(cc|h)$", path) is not None


def library_complaint(path: str, header: str) -> str | None:
    if owner(path) in INSIDERS or is_test(path):
        return None
    for prefix, places in LIBRARIES.items():
        if header.startswith(prefix):
            where = ", ".join(places) or "tests"
            return None if path.startswith(places) else f"includes <{header}>, which belongs behind {where}"
    return None


def room_complaint(path: str, header: str) -> str | None:
    """Judges a quoted include, which is how files of this repository are included."""
    who = owner(path)
    first = header.split("/")[0]
    if first == "flyweight":
        return None
    if who == "include":
        return f'is a public header and includes "{header}"; only std and "flyweight/..." may stand there'
    if first in ROOMS:
        if who in INSIDERS or who == first or first in ROOMS.get(who, set()):
            return None
        if header in EXCEPTIONS.get(who, set()):
            return None
        if who in FACES:
            return f'includes "{header}"; {who} may use the public headers only'
        return f'includes "{header}"; {who} may use {", ".join(sorted(ROOMS.get(who, set()))) or "std only"}'
    if first == "support":
        return None if is_test(path) or who in INSIDERS else f'includes "{header}", which is for tests'
    return None


def check_file(root: pathlib.Path, file: pathlib.Path) -> list[str]:
    path = file.relative_to(root).as_posix()
    complaints = []
    text = file.read_text("utf-8", "replace")
    for match in INCLUDE.finditer(text):
        quoted, header = match.group(1) == '"', match.group(2)
        complaint = library_complaint(path, header) or (room_complaint(path, header) if quoted else None)
        if ".." in header.split("/"):
            complaint = f'includes "{header}": paths start at a room'
        if complaint:
            complaints.append(f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {complaint}")
    return complaints


def check_cmake(root: pathlib.Path) -> list[str]:
    """CMakeLists.txt may not hand a room what this table denies it."""
    text = (root / "CMakeLists.txt").read_text("utf-8")
    declared = {
        name: set(uses.split()) for name, uses in re.findall(r"flyweight_add_room\((\w+)(?:\s+USES([\w\s]+))?\)", text)
    }
    complaints = [
        f"CMakeLists.txt: room {name} is not in tools/check_layers.py" for name in declared.keys() - ROOMS.keys()
    ]
    complaints += [f"CMakeLists.txt: room {name} is missing" for name in ROOMS.keys() - declared.keys()]
    for name in sorted(declared.keys() & ROOMS.keys()):
        for extra in sorted(declared[name] - ROOMS[name]):
            complaints.append(f"CMakeLists.txt: room {name} uses {extra}, which it may not")
    return complaints


def main() -> int:
    root = pathlib.Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1]
    folders = ("include", "src", "cli", "python", "tests", "fuzz", "bench")
    files = [file for folder in folders for file in sorted((root / folder).rglob("*")) if file.suffix in SUFFIXES]
    complaints = check_cmake(root) + [complaint for file in files for complaint in check_file(root, file)]
    print("\n".join(complaints) if complaints else f"{len(files)} files keep to their layers")
    return 1 if complaints or not files else 0


if __name__ == "__main__":
    sys.exit(main())
