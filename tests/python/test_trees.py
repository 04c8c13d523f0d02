"""Archives of directories, which the command makes and safe_open reads."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save_file

import flyweight
from conftest import bits, weights
from flyweight import safe_open

COMMAND = os.environ.get("FLYWEIGHT_BIN") or shutil.which("flyweight", path=str(pathlib.Path(sys.executable).parent))
needs_command = pytest.mark.skipif(COMMAND is None, reason="no flyweight command")


@pytest.fixture
def tree(tmp_path: pathlib.Path) -> pathlib.Path:
    shards = tmp_path / "model" / "sub"
    shards.mkdir(parents=True)
    save_file({"w": weights("F32", (64, 32)), "b": weights("F16", (7,))}, tmp_path / "model" / "a.safetensors")
    save_file({"w": weights("F32", (8, 4), seed=2)}, shards / "b.safetensors")
    (tmp_path / "model" / "config.json").write_text("{}")
    assert COMMAND is not None
    subprocess.run([COMMAND, "compress", "model"], cwd=tmp_path, check=True)
    return tmp_path / "model.fly"


@needs_command
def test_tensors_of_a_directory_have_their_file_in_front(tree: pathlib.Path) -> None:
    with safe_open(tree, framework="np") as archive:
        assert archive.keys() == ["a.safetensors:b", "a.safetensors:w", "sub/b.safetensors:w"]
        assert archive.metadata() is None
        assert bits(archive.get_tensor("a.safetensors:w")) == bits(weights("F32", (64, 32)))
        assert bits(archive.get_slice("sub/b.safetensors:w")[2:4]) == bits(weights("F32", (8, 4), seed=2)[2:4])
        assert np.array_equal(archive.get_tensors()["a.safetensors:b"], weights("F16", (7,)))


@needs_command
def test_a_directory_is_no_buffer(tree: pathlib.Path) -> None:
    with pytest.raises((ValueError, flyweight.FlyweightError)):
        flyweight.decompress(tree.read_bytes())


@needs_command
def test_the_package_runs_as_the_command() -> None:
    assert COMMAND is not None
    environment = {**os.environ, "PATH": f"{pathlib.Path(COMMAND).parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [sys.executable, "-m", "flyweight", "--version"], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stdout.startswith("flyweight ")
