"""Files of torch.save, torch.jit.save and numpy.savez: the annotation is what PyTorch and numpy say it is."""

from __future__ import annotations

import hashlib
import io
import json
import os
import struct
import subprocess
import sysconfig
import warnings
import zipfile

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import flyweight  # noqa: E402
from torch_oracle import Expected, any_bits, expectations  # noqa: E402
from torch_samples import SAMPLES, Small  # noqa: E402

COMMAND = os.environ.get("FLYWEIGHT_BIN") or os.path.join(sysconfig.get_path("scripts"), "flyweight")
pytestmark = pytest.mark.skipif(not os.path.exists(COMMAND), reason="the package was not installed from a wheel")


class Listed:
    """A file as flyweight lists it once it was compressed; that it comes back the same is checked on the way."""

    def __init__(self, folder, content: bytes):
        source, archive, restored = folder / "m.bin", folder / "m.fly", folder / "again.bin"
        source.write_bytes(content)
        subprocess.run([COMMAND, "compress", "-q", "-f", source, "-o", archive], check=True)
        subprocess.run([COMMAND, "decompress", "-q", "-f", archive, "-o", restored], check=True)
        assert restored.read_bytes() == content
        listing = json.loads(
            subprocess.run([COMMAND, "list", "--json", archive], check=True, capture_output=True).stdout
        )
        self.format = listing["container_format"]
        self.tensors = listing["tensors"]
        self.archive = archive

    def content(self, name: str) -> bytes:
        with flyweight.safe_open(self.archive, framework="pt") as opened:
            return raw_bytes(opened.get_tensor(name))


def raw_bytes(tensor) -> bytes:
    return tensor.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def check(listed: Listed, expected: list[Expected]) -> None:
    left = list(listed.tensors)
    for wanted in expected:
        found = [t for t in left if wanted.fits(t["name"], t["dtype"], tuple(t["shape"]))]
        assert found, f"{wanted.name} {wanted.dtype} {wanted.shape} is not among {[t['name'] for t in left]}"
        # Several storages without a name of their own may look alike: any of them that has the bytes will do.
        found = [t for t in found if t["bytes"] == len(wanted.content) and t["digest"] == digest(wanted.content)]
        assert found, f"the bytes of {wanted.name} are others"
        left.remove(found[0])
    assert not left


def digest(content: bytes) -> str:
    """That of docs/format.md, of a tensor of at most one chunk."""
    chunks = hashlib.sha256(content).digest() if content else b""
    return hashlib.sha256(chunks).hexdigest()


def saved(value, **options) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize("name", SAMPLES)
def test_torch_save(tmp_path, name, protocol):
    value = SAMPLES[name]()
    listed = Listed(tmp_path, saved(value, pickle_protocol=protocol))
    assert listed.format == "pytorch"
    check(listed, expectations(value))


@pytest.mark.parametrize("name", SAMPLES)
def test_torch_save_as_before_1_6(tmp_path, name):
    value = SAMPLES[name]()
    options = {"_use_new_zipfile_serialization": False, "pickle_protocol": 4 if name == "views" else 2}
    listed = Listed(tmp_path, saved(value, **options))
    assert listed.format == "pytorch-legacy"
    check(listed, expectations(value))


def test_whole_modules_are_named_as_their_state_dict(tmp_path):
    model = Small()
    for options in ({}, {"_use_new_zipfile_serialization": False}):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = saved(model, **options)
        check(Listed(tmp_path, content), expectations(dict(model.named_parameters()) | dict(model.named_buffers())))


def test_torchscript(tmp_path):
    file = io.BytesIO()
    model = Small().eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.trace(model, torch.tensor([1, 2])), file)
    expected = expectations(dict(model.named_parameters()) | dict(model.named_buffers()))
    constant = struct.pack("<3f", 1.5, 2.5, 3.5)
    listed = Listed(tmp_path, file.getvalue())
    assert listed.format == "pytorch"
    by_name = {tensor["name"]: tensor for tensor in listed.tensors}
    for wanted in expected:
        assert by_name[wanted.name]["shape"] == list(wanted.shape)
        assert listed.content(wanted.name) == wanted.content
    constants = [name for name in by_name if name.startswith("constants.")]
    assert constant in [listed.content(name) for name in constants]


def test_quantised_tensors_are_opaque(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tensor = torch.quantize_per_tensor(torch.randn(5, 6), 0.1, 3, torch.quint8)
        content = saved({"q": tensor, "w": torch.arange(4)})
    found = {(t["name"], t["dtype"], tuple(t["shape"]), t["bytes"]) for t in Listed(tmp_path, content).tensors}
    assert found == {("q", "OPAQUE", (5, 6), 30), ("w", "I64", (4,), 32)}


class Subclass(torch.Tensor):
    pass


def test_subclasses_and_sparse_tensors(tmp_path):
    dense = any_bits(torch.int32, (4, 3), 51)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        content = saved({"sub": dense.as_subclass(Subclass), "sparse": torch.eye(3).to_sparse()})
    listed = Listed(tmp_path, content)
    by_name = {tensor["name"]: tensor for tensor in listed.tensors}
    assert listed.content("sub") == raw_bytes(dense) and by_name["sub"]["shape"] == [4, 3]
    assert {tensor["dtype"] for tensor in listed.tensors} == {"I32", "I64", "F32"}


def test_many_members(tmp_path):
    state = {f"layer.{number}": torch.full((3,), number, dtype=torch.int16) for number in range(3000)}
    listed = Listed(tmp_path, saved(state))
    assert {tensor["name"] for tensor in listed.tensors} == set(state)
    assert listed.content("layer.2718") == raw_bytes(state["layer.2718"])


def test_big_endian_files_are_opaque(tmp_path):
    rewritten = io.BytesIO()
    source = zipfile.ZipFile(io.BytesIO(saved({"w": torch.arange(4), "b": torch.ones(3, dtype=torch.int8)})))
    with zipfile.ZipFile(rewritten, "w") as target:
        for info in source.infolist():
            target.writestr(info.filename, b"big" if info.filename.endswith("byteorder") else source.read(info))
    found = {(t["name"], t["dtype"], tuple(t["shape"])) for t in Listed(tmp_path, rewritten.getvalue()).tensors}
    assert found == {("w", "OPAQUE", (4,)), ("b", "I8", (3,))}


def test_zip_files_of_any_kind(tmp_path):
    blob = os.urandom(9000)
    for compression, expected in ((zipfile.ZIP_STORED, "zip"), (zipfile.ZIP_DEFLATED, "raw")):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", compression) as archive:
            archive.writestr("a.bin", blob)
            archive.writestr("b.bin", blob)
            archive.comment = b"a comment"
        listed = Listed(tmp_path, file.getvalue())
        assert listed.format == expected and not listed.tensors


def test_npz(tmp_path):
    arrays = {"w": np.arange(12, dtype=np.float32).reshape(3, 4), "b": np.arange(5), "deep/name": np.float64(2.5)}
    file = io.BytesIO()
    np.savez(file, **arrays)
    listed = Listed(tmp_path, file.getvalue())
    assert listed.format == "npz"
    found = {t["name"]: (t["dtype"], tuple(t["shape"])) for t in listed.tensors}
    assert found == {"w": ("F32", (3, 4)), "b": ("I64", (5,)), "deep/name": ("F64", ())}
    assert listed.content("w") == arrays["w"].tobytes()
    file = io.BytesIO()
    np.savez_compressed(file, **arrays)
    assert not Listed(tmp_path, file.getvalue()).tensors


def canary(path) -> bytes:
    """A pickle that would run a command wherever it was loaded."""
    command = f"touch {path}".encode()
    return b"\x80\x02cos\nsystem\nX" + struct.pack("<I", len(command)) + command + b"\x85R"


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 5])
def test_no_pickle_is_ever_run(tmp_path, nested, cut):
    flag = tmp_path / "ran"
    evil = canary(flag)
    evil = (b"\x80\x02}X\x01\x00\x00\x00a" + evil[2:] + b"s." if nested else evil + b".")[: -cut or None]
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("m/data.pkl", evil)
        archive.writestr("m/data/0", bytes(4096))
    for content in (file.getvalue(), evil, saved({"a": torch.ones(3)}, _use_new_zipfile_serialization=False) + evil):
        Listed(tmp_path, content)
    assert not flag.exists()
