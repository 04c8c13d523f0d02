"""level= of everything that writes archives."""

from __future__ import annotations

import numpy as np
import pytest
import safetensors.numpy

import flyweight
import flyweight.numpy
from conftest import bits, weights
from flyweight import _levels

NAMES = ["fast", "balanced", "high", "max"]
SAME = {"inference": "balanced", "storage": "max", "best": "max"}
SAME |= {1: "fast", 2: "fast", 3: "fast", 4: "balanced", 5: "balanced", 6: "balanced", 7: "high", 8: "high", 9: "max"}
WRONG = ["", "Fast", "turbo", 0, 10, -1, True, None, 2.0, b"fast"]


@pytest.mark.parametrize("level", NAMES)
def test_each_level_restores(level):
    array = weights("BF16", (256, 512))
    back = np.empty_like(array)
    flyweight.decompress(flyweight.compress(array, level=level), out=back)
    assert bits(back) == bits(array)


def test_more_effort_is_not_larger():
    array = weights("BF16", (512, 512))
    sizes = {level: len(flyweight.compress(array, level=level)) for level in NAMES}
    assert sizes["max"] <= sizes["balanced"] and sizes["max"] <= sizes["fast"]
    assert sizes["balanced"] == len(flyweight.compress(array))


@pytest.mark.parametrize("alias, name", SAME.items())
def test_other_names_of_a_level_mean_the_same(alias, name):
    assert _levels.number(alias) == NAMES.index(name)
    array = weights("F32", (64, 128))
    assert flyweight.compress(array, level=alias) == flyweight.compress(array, level=name)


@pytest.mark.parametrize("level", NAMES)
def test_saved_files_load(tmp_path, level):
    tensors = {"a": weights("BF16", (128, 256)), "b": weights("F32", (64, 64))}
    flyweight.numpy.save_file(tensors, tmp_path / "m.fly", level=level)
    blob = flyweight.numpy.save(tensors, level=level)
    for loaded in (flyweight.numpy.load_file(tmp_path / "m.fly"), flyweight.numpy.load(blob)):
        assert {name: bits(array) for name, array in loaded.items()} == {n: bits(a) for n, a in tensors.items()}


@pytest.mark.parametrize("level", WRONG, ids=repr)
def test_unknown_levels_are_errors_before_anything_is_written(tmp_path, level):
    array = weights("BF16", (8, 8))
    with pytest.raises(ValueError, match="unknown level"):
        flyweight.compress(array, level=level)
    with pytest.raises(ValueError, match="unknown level"):
        flyweight.numpy.save({"a": array}, level=level)
    with pytest.raises(ValueError, match="unknown level"):
        flyweight.numpy.save_file({"a": array}, tmp_path / "m.fly", level=level)
    assert list(tmp_path.iterdir()) == []


def test_torch_takes_levels(tmp_path):
    torch = pytest.importorskip("torch")
    import flyweight.torch

    model = torch.nn.Linear(64, 64)
    for level in ("fast", 9):
        flyweight.torch.save_model(model, tmp_path / "m.fly", level=level)
        assert torch.equal(flyweight.torch.load_file(tmp_path / "m.fly")["weight"], model.weight)
        assert torch.equal(
            flyweight.torch.load(flyweight.torch.save({"w": model.weight}, level=level))["w"], model.weight
        )
    with pytest.raises(ValueError, match="unknown level"):
        flyweight.torch.save_file({"w": model.weight}, tmp_path / "n.fly", level="turbo")


def test_scan_tells_what_each_level_saves(tmp_path):
    tensors = {f"layers.{i}.w": weights("BF16", (256, 512), seed=i) for i in range(2)}
    tensors["tied"] = tensors["layers.0.w"]
    safetensors.numpy.save_file(tensors, tmp_path / "m.safetensors")
    report = flyweight.scan(tmp_path / "m.safetensors")
    assert report["container_format"] == "safetensors" and list(report["levels"]) == NAMES
    for level in NAMES:
        flyweight.numpy.save_file(tensors, tmp_path / "m.fly", level=level)
        assert abs(report["levels"][level] - (tmp_path / "m.fly").stat().st_size) < 0.02 * report["file_bytes"]
    rows = {row["name"]: row for row in report["tensors"]}
    assert rows["tied"]["same_as"] == "layers.0.w" and rows["layers.0.w"]["same_as"] is None
    assert rows["layers.1.w"]["reason"].startswith("BF16 weights") and rows["layers.1.w"]["shape"] == (256, 512)
    with pytest.raises(FileNotFoundError):
        flyweight.scan(tmp_path / "missing")
    with pytest.raises(ValueError, match="threads"):
        flyweight.scan(tmp_path / "m.fly", threads=-1)


def test_decoding_into_a_buffer_takes_no_copy_of_it():
    """The whole of a large buffer, and rows of it: peak memory stays far under what is returned."""
    import subprocess
    import sys

    program = """
import ctypes, resource, numpy as np, flyweight
array = np.tile(np.random.default_rng(1).normal(size=(1024, 1024)).astype(np.float32), (48, 1))
blob = flyweight.compress(array, threads=1)
out = np.empty_like(array)
out[:] = 1
shape = array.shape
del array
ctypes.CDLL(None).malloc_trim(0)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")
before = resident()
flyweight.decompress(blob, out=out, threads=1)
peak = [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")][0]
print(out.nbytes, peak - before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    if "clear_refs" in done.stderr:
        pytest.skip("the peak cannot be reset here")
    assert done.returncode == 0, done.stderr
    whole_bytes, grown_bytes = map(int, done.stdout.split())
    assert whole_bytes > 190_000_000 and grown_bytes < 32 << 20
