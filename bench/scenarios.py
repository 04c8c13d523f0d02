"""Synthetic tensors that other codecs publish ratios for, above all those of z4ai's own benchmark.

Generators, seeds and the order in which random numbers are drawn are theirs, so that the ratios can be compared.
`bound` is the order-0 entropy of whole values, `bar` what flyweight set out to reach at its default level. In a
process of its own: `python -m bench.scenarios FOLDER COMMAND LEVELS [--quick]`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import sizes

TENSOR_BYTES = 16 << 20
CHECKPOINT_BYTES = 32 << 20
QUANTISED_ELEMENTS = {"BF16": 8_000_000, "F16": 8_000_000, "F32": 4_000_000}
GROUP = 128
WIDTH = {"BF16": 2, "F16": 2, "F32": 4}
f4 = np.float32


@dataclass(frozen=True)
class Scenario:
    name: str
    dtype: str
    bound: float | None
    bar: float
    make: Callable[[], bytes]
    is_file: bool = False


def encode(values: np.ndarray, dtype: str) -> bytes:
    """Rounded to nearest even."""
    if dtype == "BF16":
        bits = values.astype("<f4").view("<u4")
        return ((bits + ((bits >> 16) & np.uint32(1)) + np.uint32(0x7FFF)) >> 16).astype("<u2").tobytes()
    return values.astype({"F16": "<f2", "F32": "<f4"}[dtype]).tobytes()


def _truncate(values: np.ndarray, dtype: str) -> bytes:
    """As `encode`, but the low bits of a BF16 are cut off."""
    if dtype == "BF16":
        return (values.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return encode(values, dtype)


def _normal(count: int, seed: int = 0) -> tuple[np.random.Generator, np.ndarray]:
    random = np.random.default_rng(seed)
    return random, random.standard_normal(count).astype(f4)


def _mixture(count: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    which = random.integers(0, 4, count)
    return random.standard_normal(count).astype(f4) * np.array([0.006, 0.02, 0.05, 0.15], f4)[which]


def _iid(dtype: str) -> bytes:
    return encode(_mixture(TENSOR_BYTES // WIDTH[dtype]), dtype)


def _structured(dtype: str) -> bytes:
    count = TENSOR_BYTES // WIDTH[dtype]
    block = max(1, count // 40)
    _, base = _normal(block)
    return encode(np.tile(base * f4(0.02), -(-count // block))[:count], dtype)


def _sparse(dtype: str, share: float) -> bytes:
    count = TENSOR_BYTES // WIDTH[dtype]
    random, values = _normal(count)
    values *= f4(0.02)
    values[random.random(count) < share] = 0
    return encode(values, dtype)


def _quantised(dtype: str, largest: int) -> bytes:
    _, weights = _normal(QUANTISED_ELEMENTS[dtype])
    scale = np.abs(weights).max() / largest
    return _truncate((np.round(weights / scale) * scale).astype(f4), dtype)


def _quantised_by_group(dtype: str) -> bytes:
    _, weights = _normal(TENSOR_BYTES // WIDTH[dtype])
    groups = weights.reshape(-1, GROUP) * f4(0.02)
    scales = (np.abs(groups).max(1, keepdims=True) / 7).astype(np.float16).astype(f4)
    return encode((np.round(groups / scales) * scales).ravel(), dtype)


def _checkpoint(dtype: str) -> bytes:
    """An embedding that occurs twice, blocks that recur, a pruned tensor, a smooth one and zeros, as one buffer."""
    count = CHECKPOINT_BYTES // WIDTH[dtype]
    random = np.random.default_rng(0)
    embedding = random.standard_normal(int(0.18 * count)).astype(f4) * f4(0.04)
    blocks = [_mixture(int(0.06 * count), 100 + number) for number in range(4)]
    pruned_count = int(0.12 * count)
    pruned = random.standard_normal(pruned_count).astype(f4) * f4(0.03)
    pruned[random.random(pruned_count) < 0.5] = 0
    walk = np.cumsum(random.standard_normal(pruned_count).astype(f4) * f4(0.01))
    second_moment = (np.abs(walk) * f4(0.001) + f4(1e-6)).astype(f4)
    zeros = np.zeros(int(0.04 * count), f4)
    parts = [embedding, *blocks, blocks[0], blocks[1], blocks[0], embedding, pruned, second_moment, zeros]
    return b"".join(encode(part, dtype) for part in parts)


def _tied() -> bytes:
    """A safetensors file with a tied embedding."""
    random = np.random.default_rng(0)
    width, vocabulary = 640, 8192

    def weight(count: int) -> bytes:
        return encode(random.standard_normal(count).astype(f4) * f4(0.02), "BF16")

    embedding = weight(vocabulary * width)
    tensors = {"embed_tokens": embedding, "lm_head": embedding}
    for name, factor in (("up", 4), ("down", 4), ("qkv", 3)):
        tensors[f"layers.0.{name}"] = weight(factor * width * width)
    header, offset = {}, 0
    for name, data in tensors.items():
        header[name] = {"dtype": "BF16", "shape": [len(data) // 2], "data_offsets": [offset, offset + len(data)]}
        offset += len(data)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + b"".join(tensors.values())


def _fp8_values() -> bytes:
    import ml_dtypes

    random = np.random.default_rng(0)
    return encode(random.standard_normal(1_000_000).astype(f4).astype(ml_dtypes.float8_e4m3fn).astype(f4), "BF16")


SCENARIOS = [
    Scenario("iid", "BF16", 1.4296, 1.426, lambda: _iid("BF16")),
    Scenario("iid", "F16", 1.1281, 1.126, lambda: _iid("F16")),
    Scenario("iid", "F32", 1.177, 1.175, lambda: _iid("F32")),
    Scenario("structured", "BF16", 61.2, 60.5, lambda: _structured("BF16")),
    Scenario("structured", "F32", 48.4, 48.2, lambda: _structured("F32")),
    Scenario("sparse 0.5", "BF16", 2.567, 2.55, lambda: _sparse("BF16", 0.5)),
    Scenario("sparse 0.5", "F32", 2.250, 2.24, lambda: _sparse("F32", 0.5)),
    Scenario("sparse 0.8", "BF16", 5.687, 5.65, lambda: _sparse("BF16", 0.8)),
    Scenario("sparse 0.95", "BF16", 19.80, 19.5, lambda: _sparse("BF16", 0.95)),
    Scenario("INT8", "BF16", 2.412, 2.41, lambda: _quantised("BF16", 127)),
    Scenario("INT8", "F32", 4.825, 4.82, lambda: _quantised("F32", 127)),
    Scenario("INT6", "F32", 6.879, 6.87, lambda: _quantised("F32", 31)),
    Scenario("INT4", "BF16", 5.784, 5.77, lambda: _quantised("BF16", 7)),
    Scenario("INT4", "F16", 5.784, 5.77, lambda: _quantised("F16", 7)),
    Scenario("INT4", "F32", 11.567, 11.5, lambda: _quantised("F32", 7)),
    Scenario("INT4, groups of 128", "BF16", 4.625, 4.4, lambda: _quantised_by_group("BF16")),
    Scenario("INT4, groups of 128", "F32", 9.25, 8.8, lambda: _quantised_by_group("F32")),
    Scenario("realistic checkpoint", "BF16", 3.073, 3.05, lambda: _checkpoint("BF16")),
    Scenario("realistic checkpoint", "F32", 2.216, 2.20, lambda: _checkpoint("F32")),
    Scenario("tied safetensors", "BF16", None, 2.35, _tied, is_file=True),
    Scenario("fp8 e4m3 values", "BF16", None, 2.48, _fp8_values),
]
# Those that matter here: fast leaves the search for structure out, max is for weights.
LEVELS = ("balanced", "high")
QUICK = ("iid", "sparse 0.95", "INT4", "tied safetensors")


def measure(folder: Path, command: str, levels: list[str], quick: bool) -> list[dict]:
    """A row a scenario: what it is, and the bytes that each codec needs."""
    rows = []
    levels = [level for level in levels if level in LEVELS]
    for scenario in SCENARIOS:
        if quick and (scenario.name not in QUICK or scenario.dtype != "BF16"):
            continue
        print(f"scenario: {scenario.name}, {scenario.dtype}", file=sys.stderr, flush=True)
        data = scenario.make()
        if scenario.is_file:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / "scenario.safetensors"
            path.write_bytes(data)
            try:
                found = sizes.of_file(path, command, levels, sizes.safetensors_parts(path), peers=True)
            finally:
                path.unlink()
        else:
            found = sizes.of_buffer(data, scenario.dtype, levels)
        row = {"name": scenario.name, "dtype": scenario.dtype, "bound": scenario.bound, "bar": scenario.bar}
        rows.append({**row, "bytes": len(data), "codecs": found})
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), "--quick" in sys.argv)))
