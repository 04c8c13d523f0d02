"""The package as a package: types, stubs, version."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors
import safetensors.numpy

import flyweight
import flyweight.numpy

FOLDER = Path(flyweight.__file__).parent
ROOT = Path(__file__).parents[2]


def test_the_version_is_that_of_the_build():
    (version,) = re.findall(r"project\(flyweight VERSION ([0-9.]+)", (ROOT / "CMakeLists.txt").read_text())
    assert flyweight.__version__ == version
    try:
        assert importlib.metadata.version("flyweight") == version
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")


def test_the_package_says_that_it_is_typed():
    assert (FOLDER / "py.typed").exists()


def without_version(stub: str) -> str:
    return re.sub(r"^version: str.*$", "version: str", stub, flags=re.MULTILINE).strip()


def test_the_stub_of_the_extension_is_what_nanobind_makes(tmp_path):
    pytest.importorskip("nanobind")
    arguments = ["-m", "nanobind.stubgen", "-q", "-m", "flyweight._core", "-o", tmp_path / "_core.pyi"]
    subprocess.run([sys.executable, *arguments], check=True)
    assert without_version((tmp_path / "_core.pyi").read_text()) == without_version((FOLDER / "_core.pyi").read_text())


@pytest.mark.skipif(importlib.util.find_spec("mypy") is None, reason="needs mypy")
def test_mypy_finds_nothing(tmp_path):
    arguments = ["-m", "mypy", "--cache-dir", tmp_path, "--config-file", ROOT / "pyproject.toml"]
    result = subprocess.run([sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


def parameters(function: object) -> list[tuple[str, object, object]]:
    signature = inspect.signature(function)
    return [
        (p.name, p.default, p.kind)
        for p in signature.parameters.values()
        if p.name not in ("self", "threads", "level", "base")
    ]


@pytest.mark.parametrize("name", ["save", "save_file", "load", "load_file"])
def test_signatures_are_those_of_safetensors(name):
    assert parameters(getattr(flyweight.numpy, name)) == parameters(getattr(safetensors.numpy, name))


def test_torch_signatures_are_those_of_safetensors():
    pytest.importorskip("torch")
    import safetensors.torch

    for name in ("save", "save_file", "load", "load_file", "save_model", "load_model"):
        ours, theirs = getattr(flyweight.torch, name), getattr(safetensors.torch, name)
        assert parameters(ours) == parameters(theirs), name


def test_safe_open_has_all_that_safetensors_has():
    # Its own defaults are hidden, as it is compiled.
    theirs = inspect.signature(safetensors.safe_open).parameters.values()
    assert [(name, kind) for name, _, kind in parameters(flyweight.safe_open)] == [(p.name, p.kind) for p in theirs]
    public = {name for name in dir(safetensors.safe_open) if not name.startswith("_")}
    assert public <= set(dir(flyweight.safe_open))
    assert {"__enter__", "__exit__"} <= set(dir(flyweight.safe_open))


def test_every_public_name_exists():
    for name in flyweight.__all__:
        if name != "torch":
            assert getattr(flyweight, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = flyweight.nope
