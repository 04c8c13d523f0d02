"""Sizes of buffers and files with each codec; every result is decoded and compared with the original."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# Before bigsmall or a library below it is imported.
from bench.codecs.bigsmall import compress as bigsmall_compress
from bench.codecs.bigsmall import decompress as bigsmall_decompress

ZIPNN_DTYPES = {"BF16": "bfloat16", "F16": "float16", "F32": "float32"}
Z4AI_DTYPES = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}
TORCH_FP8 = {"F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}


class WrongBytes(Exception):
    """A codec gave back other bytes than it was given."""


@dataclass
class Part:
    """A tensor in a file."""

    dtype: str
    data: memoryview


def of_buffer(data: bytes, dtype: str, levels: list[str]) -> dict[str, int]:
    """Bytes that flyweight needs at each of `levels`, and z4ai, ZipNN and zstd -3, for one flat tensor."""
    import flyweight

    sizes = {}
    for level in levels:
        blob = flyweight.compress(data, dtype=dtype, level=level)
        sizes[f"flyweight-{level}"] = _checked(f"flyweight {level}", blob, data, flyweight.decompress)
    sizes["z4ai"] = _z4ai_buffer(data, dtype)
    sizes["zipnn"] = _zipnn_floats(memoryview(data), dtype)
    sizes["zstd-3"] = _zstd(data)
    return sizes


def of_file(path: Path, command: str, levels: list[str], parts: list[Part], peers: bool) -> dict[str, int | None]:
    """The same for a file, flyweight through its command. ZipNN gets the tensors in `parts`; what else the file has is
    counted as it is. With `peers` the file is a safetensors file and z4ai and bigsmall take it too. None is a codec
    that cannot do it."""
    data = path.read_bytes()
    sizes: dict[str, int | None] = {f"flyweight-{level}": _archive(path, command, level) for level in levels}
    sizes["zipnn"] = _zipnn_parts(parts, len(data))
    if peers:
        sizes["z4ai"] = _z4ai_file(data)
        sizes["bigsmall"] = _bigsmall(path, parts)
    sizes["zstd-3"] = _zstd(data)
    return sizes


def safetensors_parts(path: Path) -> list[Part]:
    """The tensors of a safetensors file in the order of their names, as bigsmall returns them."""
    import json

    data = memoryview(path.read_bytes())
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:begin]))
    header.pop("__metadata__", None)
    parts = []
    for name in sorted(header):
        first, end = header[name]["data_offsets"]
        parts.append(Part(header[name]["dtype"], data[begin + first : begin + end]))
    return parts


def _checked(label: str, blob: bytes, data: bytes, decode: Callable[[bytes], bytes]) -> int:
    if bytes(decode(blob)) != data:
        raise WrongBytes(f"{label}: the restored bytes differ from the original")
    return len(blob)


def _zstd(data: bytes) -> int:
    import zstandard

    blob = zstandard.ZstdCompressor(level=3, write_checksum=True).compress(data)
    return _checked("zstd -3", blob, data, zstandard.ZstdDecompressor().decompress)


def _z4ai_buffer(data: bytes, dtype: str) -> int:
    import z4ai

    return _checked("z4ai", z4ai.compress(data, dtype=Z4AI_DTYPES[dtype], threads=1), data, z4ai.decompress)


def _z4ai_file(data: bytes) -> int | None:
    from z4ai import safetensors

    try:
        blob = safetensors.compress_bytes(data, threads=1, workers=1)
    except (ValueError, KeyError, TypeError) as error:
        print(f"z4ai: {error}", file=sys.stderr)
        return None
    return _checked("z4ai", blob, data, lambda blob: safetensors.decompress_bytes(blob, workers=1))


def _zipnn_floats(data: memoryview, dtype: str) -> int:
    import zipnn

    def codec() -> zipnn.ZipNN:
        return zipnn.ZipNN(input_format="byte", bytearray_dtype=ZIPNN_DTYPES[dtype], threads=1)

    # A copy: it reorders the bits of its input in place.
    blob = bytes(codec().compress(bytearray(data)))
    return _checked("ZipNN", blob, bytes(data), codec().decompress)


def _zipnn_fp8(part: Part) -> int:
    import torch
    import zipnn

    values = torch.frombuffer(bytearray(part.data), dtype=getattr(torch, TORCH_FP8[part.dtype]))
    blob = bytes(zipnn.ZipNN(input_format="torch", threads=1).compress(values.clone()))

    def decode(blob: bytes) -> bytes:
        restored = zipnn.ZipNN(input_format="torch", threads=1).decompress(blob)
        return restored.view(torch.uint8).numpy().tobytes()

    return _checked("ZipNN", blob, bytes(part.data), decode)


def _zipnn_parts(parts: list[Part], file_bytes: int) -> int | None:
    """None where less than half of the file is of a type that it knows."""
    known = [part for part in parts if part.data.nbytes and part.dtype in {**ZIPNN_DTYPES, **TORCH_FP8}]
    raw = file_bytes - sum(part.data.nbytes for part in known)
    if raw > file_bytes / 2:
        return None
    total = raw
    try:
        for part in known:
            size = _zipnn_fp8(part) if part.dtype in TORCH_FP8 else _zipnn_floats(part.data, part.dtype)
            total += min(size, part.data.nbytes)
    except (ValueError, RuntimeError, TypeError, WrongBytes) as error:
        print(f"ZipNN: {error}", file=sys.stderr)
        return None
    return total


def _bigsmall(path: Path, parts: list[Part]) -> int | None:
    with tempfile.TemporaryDirectory(prefix="flyweight-bench-") as folder:
        packed = Path(folder) / "case.bs"
        try:
            bigsmall_compress(path, packed)
            restored = bigsmall_decompress(packed)
        except Exception as error:  # It knows few types, and says so in many ways.
            print(f"bigsmall: {type(error).__name__}: {error}", file=sys.stderr)
            return None
        same = all(restored[n].tobytes() == part.data for n, part in zip(sorted(restored), parts, strict=True))
        if not same:
            print("bigsmall: the restored bytes differ from the original", file=sys.stderr)
            return None
        return packed.stat().st_size


def _archive(path: Path, command: str, level: str) -> int:
    with tempfile.TemporaryDirectory(prefix="flyweight-bench-") as folder:
        archive, restored = Path(folder) / "case.fly", Path(folder) / "case"
        subprocess.run([command, "compress", "-q", "-f", f"--{level}", str(path), "-o", str(archive)], check=True)
        subprocess.run([command, "decompress", "-q", "-f", str(archive), "-o", str(restored)], check=True)
        if restored.read_bytes() != path.read_bytes():
            raise WrongBytes(f"flyweight --{level}: {path.name} comes back with other bytes")
        return archive.stat().st_size


def pack(values: dict, path: Path) -> None:
    """Writes a safetensors file of numpy arrays; a value may be (safetensors type, shape, bytes) as well. Names keep
    their order."""
    import json

    entries, blobs, offset = {}, [], 0
    for name, value in values.items():
        dtype, shape, data = value if isinstance(value, tuple) else _described(value)
        assert math.prod(shape) or not data
        entries[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + len(data)]}
        blobs.append(data)
        offset += len(data)
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 8)
    part = path.with_name(path.name + ".part")
    with open(part, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for data in blobs:
            file.write(data)
    os.replace(part, path)


def _described(array) -> tuple[str, tuple[int, ...], bytes]:
    names = {
        "float32": "F32",
        "float16": "F16",
        "bfloat16": "BF16",
        "float8_e4m3fn": "F8_E4M3",
        "float8_e5m2": "F8_E5M2",
        "int8": "I8",
        "uint8": "U8",
        "int32": "I32",
        "int64": "I64",
    }
    return names[array.dtype.name], array.shape, array.tobytes()
