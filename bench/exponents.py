"""How re-centring (`docs/format.md` 3.5) gathers the exponents of a tensor: histograms before and after."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.corpus import load_case

# A case and the tensor of it that gains most.
TENSORS = {
    "minilm.bf16": "encoder.layer.3.attention.output.dense.weight",
    "crepe.bf16": "conv5.weight",
}
EXPONENT_SHIFT, EXPONENT_MASK = 7, 255
LARGEST_SHIFT = 120


def measure(folder: Path) -> list[dict]:
    """A row a tensor: counts of the 256 exponents before and after, and bits an exponent at order 0."""
    rows = []
    for case, name in TENSORS.items():
        tensor = next(tensor for tensor in load_case(folder, case).tensors if tensor.name == name)
        words = tensor.data.view(np.uint16).reshape(tensor.shape[0], -1)
        before = ((words >> EXPONENT_SHIFT) & EXPONENT_MASK).astype(np.int64)
        after = (before - shifts(words)) % 256
        row: dict = {"case": case, "tensor": name, "shape": list(tensor.shape)}
        for label, exponents in (("before", before), ("after", after)):
            counts = np.bincount(exponents.ravel(), minlength=256)
            row[label] = {"counts": counts.tolist(), "bits": _entropy(counts)}
        rows.append(row)
    return rows


def shifts(words: np.ndarray) -> np.ndarray:
    """What is subtracted from the exponents of a matrix of bf16 words: that of its row, then that of its column."""
    magnitudes = np.abs((words.astype(np.uint32) << 16).view(np.float32)).astype(np.float64)
    rows = _rounded_logarithms(magnitudes.mean(axis=1))
    columns = _rounded_logarithms(np.ldexp(magnitudes, -rows[:, None]).mean(axis=0))
    return rows[:, None] + columns[None, :]


def _rounded_logarithms(means: np.ndarray) -> np.ndarray:
    """round(log2(mean / median of the means)), 0 where a mean is."""
    positive = means[means > 0]
    if not positive.size:
        return np.zeros(means.shape, np.int64)
    ratios = np.where(means > 0, means, np.median(positive)) / np.median(positive)
    return np.clip(np.round(np.log2(ratios)), -LARGEST_SHIFT, LARGEST_SHIFT).astype(np.int64)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
