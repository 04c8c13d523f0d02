"""Archives and the package safetensors: the same file, the same tensors, both ways."""

from __future__ import annotations

import ctypes
import json
import os
import stat

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import flyweight
from conftest import NUMPY_DTYPES, any_bits, bits, weights
from flyweight import _core, _serialize


def test_save_writes_what_safetensors_writes(all_tensors):
    archive = flyweight.numpy.save(all_tensors, {"format": "pt"})
    assert flyweight.decompress(archive) == safetensors.numpy.save(all_tensors, {"format": "pt"})


def test_save_without_metadata_writes_what_safetensors_writes(all_tensors):
    assert flyweight.decompress(flyweight.numpy.save(all_tensors)) == safetensors.numpy.save(all_tensors)
    assert flyweight.decompress(flyweight.numpy.save({})) == safetensors.numpy.save({})


def test_save_file_writes_what_safetensors_writes(tmp_path, all_tensors):
    flyweight.numpy.save_file(all_tensors, tmp_path / "m.safetensors.fly")
    assert flyweight.decompress((tmp_path / "m.safetensors.fly").read_bytes()) == safetensors.numpy.save(all_tensors)
    assert _core.Archive.from_path(os.fsencode(tmp_path / "m.safetensors.fly")).file_name == "m.safetensors"


def test_several_entries_of_metadata_keep_their_order(all_tensors):
    # safetensors writes them in an order that differs from run to run, so only the content can be compared.
    metadata = {"z": "1", "a": '\u00e4 " \\ \n', "": ""}
    content = flyweight.decompress(flyweight.numpy.save(all_tensors, metadata))
    theirs = safetensors.numpy.save(all_tensors, metadata)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert list(header["__metadata__"].items()) == list(metadata.items())
    assert header == json.loads(theirs[8 : 8 + int.from_bytes(theirs[:8], "little")])
    assert len(content) == len(theirs)


@pytest.mark.parametrize("metadata", [None, {"k": "v"}, {"k": "v", "l": "w"}])
def test_metadata_comes_back(tmp_path, metadata):
    flyweight.numpy.save_file({"a": np.zeros(3)}, tmp_path / "m.fly", metadata)
    with flyweight.safe_open(tmp_path / "m.fly", "np") as opened:
        assert opened.metadata() == metadata


def test_the_order_of_dtypes_is_that_of_safetensors():
    names = {
        "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "uint32": 4, "int32": 4, "uint64": 8, "int64": 8,
        "float16": 2, "bfloat16": 2, "float32": 4, "float64": 8, "complex64": 8, "float8_e4m3fn": 1, "float8_e5m2": 1,
        "float8_e8m0fnu": 1, "float8_e4m3fnuz": 1, "float8_e5m2fnuz": 1, "float4_e2m1fn_x2": 1,
    }  # fmt: skip
    memory = ctypes.create_string_buffer(8)
    specs = {
        name: safetensors.TensorSpec(dtype=name, shape=[1], data_ptr=ctypes.addressof(memory), data_len=size)
        for name, size in names.items()
    }
    content = safetensors.serialize(specs)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    order = [description["dtype"] for description in header.values()]
    assert order == [name for name in _serialize._ORDER if name in order]
    assert len(order) == len(names)


@pytest.mark.parametrize("length", range(1, 12))
def test_the_header_is_padded_as_safetensors_pads_it(length):
    tensors = {"n" * length: np.zeros((2, 3), np.int8)}
    assert flyweight.decompress(flyweight.numpy.save(tensors)) == safetensors.numpy.save(tensors)


def test_safetensors_reads_what_comes_out(tmp_path, all_tensors):
    # (It has no 8-bit floats for numpy; test_torch.py reads those.)
    all_tensors = {name: tensor for name, tensor in all_tensors.items() if "float8" not in tensor.dtype.name}
    flyweight.numpy.save_file(all_tensors, tmp_path / "m.fly")
    (tmp_path / "m.safetensors").write_bytes(flyweight.decompress((tmp_path / "m.fly").read_bytes()))
    loaded = safetensors.numpy.load_file(tmp_path / "m.safetensors")
    assert {name: bits(tensor) for name, tensor in loaded.items()} == {n: bits(t) for n, t in all_tensors.items()}


def test_a_file_of_safetensors_comes_back_byte_for_byte(tmp_path, all_tensors):
    content = safetensors.numpy.save(all_tensors, {"a": "b"})
    archive = _core.compress_file_to_bytes(memoryview(content), b"m.safetensors", 0)
    assert flyweight.decompress(archive) == content
    (tmp_path / "m.fly").write_bytes(archive)
    loaded = flyweight.numpy.load_file(tmp_path / "m.fly")
    assert {name: bits(tensor) for name, tensor in loaded.items()} == {n: bits(t) for n, t in all_tensors.items()}


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_load_and_load_file(tmp_path, all_tensors, threads):
    flyweight.numpy.save_file(all_tensors, tmp_path / "m.fly", threads=threads)
    content = (tmp_path / "m.fly").read_bytes()
    for loaded in (
        flyweight.numpy.load_file(tmp_path / "m.fly", threads=threads),
        flyweight.numpy.load(content, threads=threads),
        flyweight.numpy.load(memoryview(content)),
        flyweight.numpy.load(safetensors.numpy.save(all_tensors)),
    ):
        assert {name: bits(tensor) for name, tensor in loaded.items()} == {n: bits(t) for n, t in all_tensors.items()}


def test_loading_large_tensors_uses_all_threads_and_gives_the_same(tmp_path, monkeypatch):
    from flyweight import _safe_open

    monkeypatch.setattr(_safe_open, "_LARGE_BYTES", 100_000)
    tensors = {f"t{seed}": weights("F32", (60 * seed, 101), seed) for seed in range(8)}
    flyweight.numpy.save_file(tensors, tmp_path / "m.fly")
    loaded = flyweight.numpy.load_file(tmp_path / "m.fly")
    assert {name: bits(tensor) for name, tensor in loaded.items()} == {n: bits(t) for n, t in tensors.items()}


@pytest.mark.parametrize("name", NUMPY_DTYPES)
def test_strided_and_big_endian_arrays_are_saved_by_value(name):
    tensor = any_bits(name, (6, 8))
    loaded = flyweight.numpy.load(flyweight.numpy.save({"t": tensor[::2, ::-3], "u": tensor.T}))
    assert bits(loaded["t"]) == bits(tensor[::2, ::-3])
    assert bits(loaded["u"]) == bits(tensor.T)


def test_big_endian_arrays_become_little_endian():
    tensor = np.arange(5, dtype=">f4")
    loaded = flyweight.numpy.load(flyweight.numpy.save({"t": tensor}))["t"]
    assert bits(loaded) == bits(tensor.astype("<f4"))


@pytest.mark.parametrize(
    ("tensors", "metadata", "error"),
    [
        ({"t": np.zeros(3, np.complex128)}, None, TypeError),
        ({"t": np.array(["a"])}, None, TypeError),
        ({"t": [1, 2]}, None, TypeError),
        ({3: np.zeros(3)}, None, TypeError),
        ({"__metadata__": np.zeros(3)}, None, ValueError),
        ({"t": np.zeros(3)}, {"k": 1}, TypeError),
    ],
)
def test_what_safetensors_cannot_hold_is_refused(tmp_path, tensors, metadata, error):
    with pytest.raises(error):
        flyweight.numpy.save_file(tensors, tmp_path / "m.fly", metadata)
    assert list(tmp_path.iterdir()) == []


def test_bfloat16_without_ml_dtypes_is_a_clear_error(tmp_path, monkeypatch):
    flyweight.numpy.save_file({"t": weights("BF16", (3, 4)), "u": np.ones(2)}, tmp_path / "m.fly")
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with flyweight.safe_open(tmp_path / "m.fly", "np") as opened:
        assert opened.get_tensor("u").tolist() == [1, 1]
        with pytest.raises(flyweight.FlyweightError, match="ml_dtypes"):
            opened.get_tensor("t")


# How the file appears -------------------------------------------------------------------------------------------------


def test_a_file_larger_than_the_memory_limit_is_laid_out_on_disk(tmp_path, monkeypatch, all_tensors):
    monkeypatch.setattr(_serialize, "_MEMORY_BYTES", 1000)
    flyweight.numpy.save_file(all_tensors, tmp_path / "m.fly")
    assert flyweight.decompress((tmp_path / "m.fly").read_bytes()) == safetensors.numpy.save(all_tensors)
    assert [path.name for path in tmp_path.iterdir()] == ["m.fly"]


def test_permissions_are_those_of_new_files_or_of_the_file_replaced(tmp_path):
    path = tmp_path / "m.fly"
    (tmp_path / "plain").touch()
    flyweight.numpy.save_file({"t": np.zeros(3)}, path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    path.chmod(0o640)
    flyweight.numpy.save_file({"t": np.ones(3)}, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert flyweight.numpy.load_file(path)["t"].tolist() == [1, 1, 1]


def test_a_failure_leaves_the_older_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "m.fly"
    flyweight.numpy.save_file({"t": np.zeros(3)}, path)
    before = path.read_bytes()

    def refuse(path, threads):
        raise flyweight.ChecksumError("what was written is not what was read")

    monkeypatch.setattr(_core, "verify", refuse)
    with pytest.raises(flyweight.ChecksumError):
        flyweight.numpy.save_file({"t": np.ones(3)}, path)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["m.fly"]


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link.fly").symlink_to(tmp_path / "real" / "m.fly")
    flyweight.numpy.save_file({"t": np.zeros(3)}, tmp_path / "link.fly")
    assert (tmp_path / "link.fly").is_symlink()
    assert (tmp_path / "real" / "m.fly").is_file()


def test_a_missing_folder_and_a_directory_are_os_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        flyweight.numpy.save_file({}, tmp_path / "missing" / "m.fly")
    with pytest.raises(IsADirectoryError):
        flyweight.numpy.save_file({}, tmp_path)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_an_os_error():
    with open("/dev/full", "wb") as full, pytest.raises(OSError, match="No space"):
        _core.compress_file_to_descriptor(memoryview(bytes(100_000)), b"m", full.fileno(), b"/dev/full", 1)
