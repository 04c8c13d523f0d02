"""Inputs that hold no weights, or none that can be made smaller: what flyweight's archive costs there, beside zstd."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import zstandard

RANDOM_BYTES = 32 << 20


def measure(corpus: Path, folder: Path, command: str) -> list[dict]:
    """Sizes in bytes, one row an input: as it is, as an archive, with zstd -3 and zstd -19."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for name, data in _inputs(corpus).items():
        source, archive = folder / "input", folder / "input.fly"
        source.write_bytes(data)
        try:
            subprocess.run([command, "compress", "-q", "-f", str(source), "-o", str(archive)], check=True)
            archive_bytes = archive.stat().st_size
        finally:
            source.unlink(missing_ok=True)
            archive.unlink(missing_ok=True)
        zstd = {level: len(zstandard.ZstdCompressor(level=level).compress(data)) for level in (3, 19)}
        rows.append(
            {"name": name, "bytes": len(data), "flyweight": archive_bytes, "zstd-3": zstd[3], "zstd-19": zstd[19]}
        )
    return rows


def _inputs(corpus: Path) -> dict[str, bytes]:
    generator = np.random.default_rng(1)
    noise = generator.integers(0, 256, RANDOM_BYTES, dtype=np.uint8).tobytes()
    model = (corpus / "minilm.bf16.safetensors").read_bytes()
    tiny = np.arange(4, dtype=np.float32).tobytes()
    return {
        "a model that zstd -3 has compressed already": zstandard.ZstdCompressor(level=3).compress(model),
        "a safetensors file of int8 weights, uniformly random": _safetensors("I8", [RANDOM_BYTES // 1024, 1024], noise),
        "text (a tokenizer in JSON)": (corpus / "text.json").read_bytes(),
        "a safetensors file with one tensor of 4 numbers": _safetensors("F32", [4], tiny),
        "1 KB of random bytes": noise[:1000],
        "an empty file": b"",
    }


def _safetensors(dtype: str, shape: list[int], data: bytes) -> bytes:
    header = json.dumps({"weight": {"dtype": dtype, "shape": shape, "data_offsets": [0, len(data)]}}).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + data
