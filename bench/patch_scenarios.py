"""Pairs of buffers that differ in some elements: z4ai's scenarios, by its generators and seeds, and one of ours.

`bound` is the entropy of an ideal coder that knows how the pair was made, where there is a formula for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.scenarios import TENSOR_BYTES, WIDTH, _mixture, encode

SHARES = (0.01, 0.05, 0.20)
UNSIGNED = {2: np.uint16, 4: np.uint32}
TUNED_ELEMENTS = {"BF16": 8_000_000, "F32": 4_000_000}


@dataclass(frozen=True)
class Pair:
    name: str
    dtype: str
    z4ai_published: float | None
    bound: float | None
    make: Callable[[Path], tuple[bytes, bytes]]


def _low_bits(dtype: str, share: float) -> tuple[bytes, bytes]:
    """The two lowest bits of some elements change."""
    reference = encode(_mixture(TENSOR_BYTES // WIDTH[dtype]), dtype)
    words = np.frombuffer(reference, UNSIGNED[WIDTH[dtype]]).copy()
    random = np.random.default_rng(1)
    changed = random.random(words.size) < share
    words[changed] ^= random.integers(1, 4, int(changed.sum())).astype(words.dtype)
    return words.tobytes(), reference


def _relative(dtype: str, share: float) -> tuple[bytes, bytes]:
    """Some elements change by about a hundredth of themselves."""
    values = _mixture(TENSOR_BYTES // WIDTH[dtype])
    reference = encode(values, dtype)
    random = np.random.default_rng(1)
    changed = random.random(values.size) < share
    values[changed] *= (1 + 0.01 * random.standard_normal(int(changed.sum()))).astype(np.float32)
    return encode(values, dtype), reference


def _tuned(folder: Path, dtype: str, share: float) -> tuple[bytes, bytes]:
    """Some of MiniLM's weights, its tensors in the order of their names, change by about 10^-4."""
    from safetensors.numpy import load_file

    tensors = load_file(folder / "minilm.fp32.safetensors")
    flat = np.concatenate([tensors[name].ravel() for name in sorted(tensors) if tensors[name].dtype == np.float32])
    values = flat[: TUNED_ELEMENTS[dtype]].copy()
    reference = encode(values, dtype)
    random = np.random.default_rng(7)
    changed = random.random(values.size) < share
    values[changed] += (random.standard_normal(int(changed.sum())) * 1e-4).astype(np.float32)
    return encode(values, dtype), reference


def one_percent(folder: Path) -> tuple[bytes, bytes]:
    """One in a hundred of MiniLM's bf16 weights moves by one or two units in the last place."""
    from bench.corpus import load_case

    reference = load_case(folder, "minilm.bf16").payload
    words = reference[: reference.size // 2 * 2].view(np.uint16)
    random = np.random.default_rng(1)
    changed = random.random(words.size) < 0.01
    steps = random.integers(0, 4, int(changed.sum()))
    step = np.where(steps < 2, steps - 2, steps - 1)
    tuned = words.copy()
    tuned[changed] = (tuned[changed].astype(np.int64) + step).astype(np.uint16)
    return tuned.tobytes(), words.tobytes()


def _low_bits_bound(share: float, width: int) -> float:
    """Which elements change, and which of three changes each has."""
    bits = -share * math.log2(share) - (1 - share) * math.log2(1 - share) + share * math.log2(3)
    return 8 * width / bits


PUBLISHED = {
    ("low bits", "BF16"): (164.2, 43.7, 15.39),
    ("low bits", "F32"): (326.9, 87.1, 30.8),
    ("relative", "BF16"): (156.6, 40.8, 13.18),
    ("relative", "F32"): (98.6, 23.6, 6.82),
    ("tuned", "BF16"): (231.0, 61.4, 19.6),
    ("tuned", "F32"): (99.8, 24.0, 6.91),
}


def _pairs() -> list[Pair]:
    pairs = []
    for (kind, dtype), published in PUBLISHED.items():
        for share, ratio in zip(SHARES, published, strict=True):
            bound = _low_bits_bound(share, WIDTH[dtype]) if kind == "low bits" else None
            pairs.append(Pair(f"{kind}, {share:.0%}", dtype, ratio, bound, _maker(kind, dtype, share)))
    return [*pairs, Pair("1 % of MiniLM by 1 or 2 ulp", "BF16", None, None, one_percent)]


def _maker(kind: str, dtype: str, share: float) -> Callable[[Path], tuple[bytes, bytes]]:
    if kind == "tuned":
        return lambda folder: _tuned(folder, dtype, share)
    make = _low_bits if kind == "low bits" else _relative
    return lambda folder: make(dtype, share)


PAIRS = _pairs()
