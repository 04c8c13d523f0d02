"""Damaged archives, and what is raised for what."""

from __future__ import annotations

import contextlib
import os
import struct

import numpy as np
import pytest

import flyweight
from conftest import weights
from flyweight import _errors


def small_blobs() -> dict[str, bytes]:
    tensor = weights("BF16", (40, 32))
    return {
        "buffer": flyweight.compress(tensor),
        "text": flyweight.compress(b"a few words"),
        "file": flyweight.numpy.save({"a": tensor[:3], "b": np.arange(5)}, {"k": "v"}),
    }


BLOBS = small_blobs()


@pytest.mark.parametrize("kind", BLOBS)
def test_no_flipped_byte_ever_gives_other_data(kind):
    blob = BLOBS[kind]
    right = flyweight.decompress(blob)
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 1 << place % 8
        with contextlib.suppress(flyweight.FlyweightError):
            assert flyweight.decompress(damaged, threads=1) == right, f"byte {place}"


@pytest.mark.parametrize("kind", BLOBS)
def test_only_what_exists_twice_or_does_not_matter_may_be_damaged_without_an_error(kind):
    blob = BLOBS[kind]
    right = flyweight.decompress(blob)
    footer = len(blob) - 128
    first_index, second_index, index_bytes = struct.unpack_from("<3Q", blob, footer + 64)
    header_and_copy = {*range(64), *range(footer, footer + 64)}
    indexes = {*range(first_index, first_index + index_bytes), *range(second_index, second_index + index_bytes)}
    for place in range(len(blob)):
        damaged = bytearray(blob)
        damaged[place] ^= 0xFF
        try:
            decoded = flyweight.decompress(damaged, threads=1)
        except flyweight.FlyweightError:
            continue
        # A chunk that decodes to what it must is right, whatever the checksum of its stored bytes says.
        is_right_chunk = 64 <= place < first_index and decoded == right
        assert is_right_chunk or place in header_and_copy | indexes, f"byte {place}"


@pytest.mark.parametrize("kind", BLOBS)
def test_every_truncation_is_an_error(kind):
    blob = BLOBS[kind]
    for size in range(len(blob)):
        with pytest.raises(flyweight.FlyweightError):
            flyweight.decompress(blob[:size], threads=1)


@pytest.mark.parametrize(
    "blob", [b"", b"\x89FLY\r\n\x1a\n", bytes(1000), os.urandom(1000), b"PK\x03\x04" * 50], ids=range(5)
)
def test_what_is_no_archive_is_a_format_error(blob):
    with pytest.raises(flyweight.FormatError):
        flyweight.decompress(blob)


def test_trailing_bytes_are_an_error():
    with pytest.raises(flyweight.FlyweightError):
        flyweight.decompress(BLOBS["buffer"] + b"\0")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (10, ValueError),
        (20, flyweight.FormatError),
        (21, flyweight.FormatError),
        (22, flyweight.ChecksumError),
        (30, flyweight.UnsupportedVersionError),
        (31, flyweight.UnsupportedVersionError),
        (40, flyweight.LimitError),
        (50, flyweight.BaseMismatchError),
        (60, OSError),
        (61, FileExistsError),
        (62, OSError),
        (70, MemoryError),
        (90, flyweight.FlyweightError),
        (999, flyweight.FlyweightError),
    ],
)
def test_each_error_code_has_its_exception(code, expected):
    error = _errors.make_error(code, "what happened", 7, "model.fly")
    assert type(error) is expected
    assert "what happened" in str(error)
    if isinstance(error, flyweight.FlyweightError):
        assert (error.code, error.offset, error.filename) == (code, 7, "model.fly")
        assert "model.fly" in str(error)
    if isinstance(error, OSError):
        assert error.filename == "model.fly"


def test_a_format_error_is_a_value_error_too():
    assert issubclass(flyweight.FormatError, ValueError)
    assert issubclass(flyweight.FormatError, flyweight.FlyweightError)


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "model.fly"
    path.write_bytes(BLOBS["file"][:-1])
    with pytest.raises(flyweight.FlyweightError, match=r"model\.fly") as caught:
        flyweight.safe_open(path, "np")
    assert caught.value.filename == str(path)


@pytest.mark.parametrize("opener", [lambda path: flyweight.safe_open(path, "np"), flyweight.numpy.load_file])
def test_the_operating_system_says_what_it_refuses(tmp_path, opener):
    with pytest.raises(FileNotFoundError) as caught:
        opener(tmp_path / "missing.fly")
    assert caught.value.filename == str(tmp_path / "missing.fly") or caught.value.filename == tmp_path / "missing.fly"
    with pytest.raises(OSError, match="directory"):
        opener(tmp_path)
