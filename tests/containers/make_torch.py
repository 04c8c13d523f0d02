#!/usr/bin/env python3
"""Writes the files of PyTorch and numpy in this folder, and beside each NAME the annotation that it must have:
NAME.expected, with the format in the first line and a line "name DTYPE [shape] offset bytes" for each tensor, between
tabs. Offsets are found by searching the file for the tensor's bytes ("-" for empty tensors).

Usage: make_torch.py FOLDER   needs torch and numpy
"""

from __future__ import annotations

import io
import pathlib
import sys
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "python"))

import numpy as np
import torch

from torch_oracle import NAMES, Expected, expectations
from torch_samples import SAMPLES, Small


def write(folder: pathlib.Path, name: str, file_format: str, content: bytes, expected: list[Expected]) -> None:
    lines = [file_format]
    for tensor in expected:
        count = content.count(tensor.content) if tensor.content else 0
        offset = str(content.index(tensor.content)) if count == 1 else "-"
        shape = "[" + ",".join(map(str, tensor.shape)) + "]"
        lines.append("\t".join((tensor.name, tensor.dtype, shape, offset, str(len(tensor.content)))))
    (folder / name).write_bytes(content)
    (folder / (name + ".expected")).write_text("\n".join(lines) + "\n", encoding="utf-8")


def saved(value: object, **options: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file, **options)
    return file.getvalue()


def scripted() -> tuple[bytes, list[Expected]]:
    model = Small().eval()
    file = io.BytesIO()
    torch.jit.save(torch.jit.script(model.body), file)
    return file.getvalue(), expectations(dict(model.body.named_parameters()) | dict(model.body.named_buffers()))


def arrays() -> tuple[bytes, list[Expected]]:
    values = {"w": np.arange(12, dtype=np.float32).reshape(3, 4) + 0.5, "b": np.arange(5) + 77, "s": np.float64(2.5)}
    file = io.BytesIO()
    np.savez(file, **values)
    expected = [Expected(name, NAMES[str(value.dtype)], value.shape, value.tobytes()) for name, value in values.items()]
    return file.getvalue(), expected


def main() -> None:
    warnings.simplefilter("ignore")
    folder = pathlib.Path(sys.argv[1])
    for name in ("every_dtype", "training_checkpoint", "views"):
        value = SAMPLES[name]()
        write(folder, name + ".pt", "pytorch", saved(value), expectations(value))
    value = SAMPLES["training_checkpoint"]()
    legacy = saved(value, _use_new_zipfile_serialization=False)
    write(folder, "training_checkpoint.legacy.pt", "pytorch-legacy", legacy, expectations(value))
    value = SAMPLES["odd_shapes"]()
    del value["large"]
    write(folder, "odd_shapes.protocol4.pt", "pytorch", saved(value, pickle_protocol=4), expectations(value))
    write(folder, "script.pt", "pytorch", *scripted())
    write(folder, "arrays.npz", "npz", *arrays())


if __name__ == "__main__":
    main()
