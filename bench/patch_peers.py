"""What others need for the difference of two files or buffers; all is decoded and compared with the original."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import numpy as np

# First: it says what bigsmall must find in the environment when it is imported.
import bench.codecs.bigsmall  # noqa: F401
from bench.sizes import WrongBytes

WIDTH = {"BF16": 2, "F16": 2, "F32": 4}
Z4AI_DTYPES = {"BF16": "bf16", "F16": "fp16", "F32": "fp32"}


def of_files(base: Path, tune: Path, width: int, with_slow: bool) -> dict[str, int]:
    """Bytes that peers need for `tune`, two safetensors files with the same header. The header is left out for those
    that take buffers. With `with_slow` bigsmall too, whose zstd -19 takes a minute."""
    base_data, tune_data = _data_section(base), _data_section(tune)
    xor = np.bitwise_xor(base_data, tune_data)
    sizes = {"bitx": bitx(xor, width), "zstd-1": _zstd(xor, 1), "z4ai": _z4ai_files(base, tune)}
    if with_slow:
        sizes["bigsmall"] = _bigsmall(base, tune)
    return sizes


def _data_section(path: Path) -> np.ndarray:
    data = np.fromfile(path, np.uint8)
    return data[8 + int.from_bytes(data[:8].tobytes(), "little") :]


def bitx(xor: np.ndarray, width: int) -> int:
    """ZipLLM's BitX: the XOR, byte by byte of the elements, each plane with zstd -3."""
    return sum(_zstd(np.ascontiguousarray(xor[plane::width]), 3) for plane in range(width))


def _zstd(data: np.ndarray, level: int) -> int:
    import zstandard

    blob = zstandard.ZstdCompressor(level=level).compress(data.tobytes())
    if zstandard.ZstdDecompressor().decompress(blob) != data.tobytes():
        raise WrongBytes(f"zstd -{level}: the restored bytes differ")
    return len(blob)


def zstd_xor(current: bytes, reference: bytes, level: int) -> int:
    return _zstd(np.frombuffer(current, np.uint8) ^ np.frombuffer(reference, np.uint8), level)


def _bigsmall(base: Path, tune: Path) -> int:
    import bigsmall

    with tempfile.TemporaryDirectory(prefix="flyweight-bench-") as folder:
        patch = Path(folder) / "patch.bs"
        bigsmall.compress_delta(tune, base, patch, workers=1, progress=False)
        restored = bigsmall.decompress_delta(patch, base, progress=False)
        _compare_tensors("bigsmall", tune, {name: value.tobytes() for name, value in restored.items()})
        return patch.stat().st_size


def _compare_tensors(label: str, tune: Path, restored: dict[str, bytes]) -> None:
    data = tune.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    header.pop("__metadata__", None)
    for name, entry in header.items():
        first, end = entry["data_offsets"]
        if restored.get(name) != data[begin + first : begin + end]:
            raise WrongBytes(f"{label}: {name} comes back with other bytes")


def _z4ai_files(base: Path, tune: Path) -> int:
    from z4ai import model_delta

    with tempfile.TemporaryDirectory(prefix="flyweight-bench-") as folder:
        patch, restored = Path(folder) / "patch.z4", Path(folder) / "restored.safetensors"
        model_delta.compress_file(str(tune), str(base), str(patch), threads=1)
        model_delta.decompress_file(str(patch), str(base), str(restored))
        if restored.read_bytes() != tune.read_bytes():
            raise WrongBytes("z4ai: the file comes back with other bytes")
        return patch.stat().st_size


def z4ai_buffer(current: bytes, reference: bytes, dtype: str) -> int:
    import z4ai

    blob = z4ai.compress_delta(current, reference, dtype=Z4AI_DTYPES[dtype], threads=1)
    if bytes(z4ai.decompress_delta(blob, reference)) != current:
        raise WrongBytes("z4ai: the restored bytes differ")
    return len(blob)


def relative_error(base: Path, tune: Path, restored: Path) -> dict[str, float]:
    """The error of the difference, relative to the difference: of all tensors together and of the worst one."""
    from safetensors.numpy import load_file

    old, new, found = load_file(base), load_file(tune), load_file(restored)
    return _relative_error(old, new, found)


def _relative_error(old: dict, new: dict, found: dict) -> dict[str, float]:
    errors, changes, worst = 0.0, 0.0, 0.0
    for name, value in new.items():
        if value.dtype != np.float32:
            continue
        wanted = value.astype(np.float64)
        error = float(np.sum((found[name].astype(np.float64) - wanted) ** 2))
        change = float(np.sum((old[name].astype(np.float64) - wanted) ** 2))
        errors, changes = errors + error, changes + change
        worst = max(worst, (error / change) ** 0.5 if change else 0.0)
    return {"error": (errors / changes) ** 0.5, "worst_tensor": worst}


def deltatensors(base: Path, tune: Path, scratch: Path, strategy: str, settings: dict) -> tuple[int, dict[str, float]]:
    import deltatensors
    from safetensors.numpy import load_file

    old, new = load_file(base), load_file(tune)
    floats = [name for name, value in new.items() if value.dtype == np.float32]
    old, new = ({name: tensors[name] for name in floats} for tensors in (old, new))
    path = scratch / "patch.wdelta"
    deltatensors.save_delta(str(path), new, old, strategy=strategy, **settings)
    found = {name: np.asarray(value) for name, value in deltatensors.load_delta(str(path), old).items()}
    return path.stat().st_size, _relative_error(old, new, found)
