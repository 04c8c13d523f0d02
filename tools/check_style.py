#!/usr/bin/env python3
"""Checks what a reader would trip over.

That is formatting (clang-format 19), file length, ASCII, white space at line ends, and words that have no place in a
published tree.

Usage: tools/check_style.py   exit 0 = clean, 1 = complaints, one a line
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
SOURCE_LINES_MAX = 600
PUBLIC_HEADER_LINES_MAX = 300
CLANG_FORMAT_MAJOR = "19"

CPP_SUFFIXES = {".h", ".cc", ".cu"}
SOURCE_SUFFIXES = CPP_SUFFIXES | {".py", ".pyi", ".sh", ".cmake"}
TEXT_SUFFIXES = SOURCE_SUFFIXES | {".md", ".txt", ".toml", ".json", ".yaml", ".yml", ".cfg", ".svg", ""}
SKIPPED_FOLDERS = {
    ".git",
    ".venv",
    ".bench",
    "build",
    "dist",
    "__pycache__",
    ".mypy_cache",
    ".ruff_cache",
    ".pytest_cache",
    ".hypothesis",
}
DATA_FOLDERS = ("tests/golden/", "fuzz/corpus/")

# Spelled in pieces, so that this file does not find itself.
FORBIDDEN = {
    "an unfinished note": re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X)\b"),
    "a path of somebody's machine": re.compile(
        r"(?<![\w./}])/(?:wo" r"rk|ro" r"ot|ho" r"me|tmp/build-|opt/py" r"pi|opt/wh" r"eels)\b"
    ),
}


def tracked_files() -> list[pathlib.Path]:
    """What git tracks or would add; where there is no git, every file outside the folders that are built."""
    try:
        listing = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            check=True,
        ).stdout
        files = [ROOT / os.fsdecode(name) for name in listing.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        files = []
        for folder, folders, names in os.walk(ROOT):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            files += [pathlib.Path(folder) / name for name in names]
    return sorted(
        file for file in files if file.is_file() and not file.relative_to(ROOT).as_posix().startswith(DATA_FOLDERS)
    )


def check_text(path: str, data: bytes) -> list[str]:
    complaints = []
    suffix = pathlib.PurePath(path).suffix
    lines = data.split(b"\n")
    is_source = suffix in SOURCE_SUFFIXES
    limit = PUBLIC_HEADER_LINES_MAX if path.startswith("include/") else SOURCE_LINES_MAX
    if is_source and len(lines) - 1 > limit:
        complaints.append(f"{path}: {len(lines) - 1} lines; a file holds at most {limit}")
    if data and not data.endswith(b"\n"):
        complaints.append(f"{path}: the last line has no end")
    for number, line in enumerate(lines, 1):
        if is_source and not line.isascii():
            complaints.append(f"{path}:{number}: not ASCII")
        if line != line.rstrip() and path != "LICENSE":
            complaints.append(f"{path}:{number}: white space at the end of the line")
        text = line.decode("utf-8", "replace")
        for what, pattern in FORBIDDEN.items():
            if pattern.search(text):
                complaints.append(f"{path}:{number}: {what}: {text.strip()[:100]}")
    return complaints


def find_clang_format() -> str | None:
    for name in (f"clang-format-{CLANG_FORMAT_MAJOR}", "clang-format"):
        found = shutil.which(name) or shutil.which(name, path=str(pathlib.Path(sys.executable).parent))
        if found:
            version = subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout
            if re.search(rf"version {CLANG_FORMAT_MAJOR}\.", version):
                return found
    return None


def check_format(files: list[pathlib.Path]) -> list[str]:
    formatter = find_clang_format()
    if formatter is None:
        print(f"clang-format {CLANG_FORMAT_MAJOR} is not here: formatting not checked")
        return []
    result = subprocess.run(
        [formatter, "--dry-run", "-Werror", *map(str, files)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if result.returncode == 0:
        return []
    unformatted = sorted(set(re.findall(r"^(.+?):\d+:\d+: error:", result.stderr, re.MULTILINE)))
    shown = [pathlib.Path(file).relative_to(ROOT).as_posix() for file in unformatted]
    return [f"{file}: not formatted (clang-format-{CLANG_FORMAT_MAJOR} -i {file})" for file in shown] or [
        result.stderr.strip()
    ]


def main() -> int:
    files = tracked_files()
    complaints = []
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        data = file.read_bytes()
        if file.suffix in TEXT_SUFFIXES and b"\0" not in data:
            complaints += check_text(path, data)
    complaints += check_format([file for file in files if file.suffix in CPP_SUFFIXES])
    print("\n".join(complaints) if complaints else f"{len(files)} files read well")
    return 1 if complaints or not files else 0


if __name__ == "__main__":
    sys.exit(main())
