"""The second decoder reads every golden file, and refuses damaged ones."""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from cursor import FormatError  # noqa: E402
from decoder import Archive  # noqa: E402

GOLDEN = sorted((HERE.parent / "golden").glob("v*/*.fly"))
MANIFEST = {path.parent: json.loads((path.parent / "manifest.json").read_text()) for path in GOLDEN}


def decode(data, base=b""):
    archive = Archive(data, base)
    return [archive.decode_file(file) for file in archive.files], archive.damage


def test_there_are_golden_files():
    assert len(GOLDEN) >= 58
    assert sorted(path.name for path in GOLDEN) == sorted(name for manifest in MANIFEST.values() for name in manifest)


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
def test_golden_file_gives_its_content(path):
    expected = MANIFEST[path.parent][path.name]
    data = path.read_bytes()
    assert hashlib.sha256(data).hexdigest() == expected["archive_sha256"]
    base = (path.parent / expected["base"]).read_bytes() if "base" in expected else b""
    contents, damage = decode(data, base)
    assert damage == []
    assert [hashlib.sha256(content).hexdigest() for content in contents] == [
        file["sha256"] for file in expected["files"]
    ]
    assert [len(content) for content in contents] == [file["bytes"] for file in expected["files"]]
    assert [file.name.decode("latin-1") for file in Archive(data, base).files] == [
        file["name"] for file in expected["files"]
    ]


@pytest.mark.parametrize(
    "name",
    [
        "codecs_mixed",
        "masked_bits_runs",
        "planes_each_method",
        "archive_same_as",
        "archive_zstd_index",
        "float_bf16",
        "recentred_both",
    ],
)
def test_damage_is_an_error_or_is_said(name):
    data = (HERE.parent / "golden/v1" / f"{name}.fly").read_bytes()
    good, _ = decode(data)
    step = max(1, len(data) // 200)
    for at in range(0, len(data), step):
        damaged = bytearray(data)
        damaged[at] ^= 1 << at % 8
        try:
            contents, damage = decode(bytes(damaged))
        except FormatError:
            continue
        assert contents == good and damage, f"byte {at}"
    for size in range(0, len(data), step):
        with pytest.raises(FormatError):
            decode(data[:size])


def test_command_writes_the_file(tmp_path):
    out = tmp_path / "out"
    path = HERE.parent / "golden/v1/codec_zstd.fly"
    subprocess.run([sys.executable, str(HERE / "decoder.py"), str(path), "-o", str(out)], check=True)
    assert hashlib.sha256(out.read_bytes()).hexdigest() == MANIFEST[path.parent][path.name]["files"][0]["sha256"]


def test_command_writes_several_files_into_a_folder(tmp_path):
    out = tmp_path / "out"
    path = HERE.parent / "golden/v1/archive_several_files.fly"
    subprocess.run([sys.executable, str(HERE / "decoder.py"), str(path), "-o", str(out)], check=True)
    assert len(list(out.iterdir())) == 4
    assert (out / "config.json").read_bytes() == b"{}\n"


def test_command_writes_a_tree(tmp_path):
    out = tmp_path / "out"
    path = HERE.parent / "golden/v1/archive_tree.fly"
    subprocess.run([sys.executable, str(HERE / "decoder.py"), str(path), "-o", str(out)], check=True)
    assert sorted(child.name for child in out.iterdir()) == ["a", "d", "d-sorts behind d's entries", "e", "zero"]
    assert (out / "a").stat().st_ino == (out / "e").stat().st_ino
    assert (out / "a").stat().st_mtime_ns == -250_000_000
    assert (out / "d").stat().st_mode & 0o7777 == 0o2700
    assert os.readlink(out / "d/model.safetensors") == "../../blobs/missing"


def test_command_refuses_what_is_no_archive(tmp_path):
    bad = tmp_path / "bad.fly"
    bad.write_bytes(b"no archive" * 100)
    run = subprocess.run(
        [sys.executable, str(HERE / "decoder.py"), str(bad), "-o", str(tmp_path / "out")],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and "bad.fly" in run.stderr and "Traceback" not in run.stderr
    assert not (tmp_path / "out").exists()
