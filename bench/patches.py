"""Differences: sizes of patches between checkpoints, of pairs of buffers, and near-lossless ones.

In a process of its own: `python -m bench.patches CORPUS COMMAND LEVELS [--quick]`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from bench import fine_tunes, patch_peers, patch_scenarios
from bench.sizes import WrongBytes

LEVELS = ("balanced", "high")
STEPS = {"constant": ((0, 30), (0, 300), (20, 30), (290, 300)), "scheduled": ((0, 300), (290, 300))}
QUICK_STEPS = {"constant": ((0, 30),)}
WIDTH = {"bf16": 2, "fp32": 4}
# Relative errors of the difference, and what deltatensors' strategies reach on a pair of fp32 files.
LOSSY_ERRORS = (0.02, 0.05, 0.074, 0.10, 0.20, 0.50)
LOSSY_PAIR = ("constant", 0, 30, "fp32")
DELTATENSORS = (
    ("int4, 1 % outliers", "int4", {"outlier_fraction": 0.01}),
    ("int4, 5 % outliers", "int4", {"outlier_fraction": 0.05}),
    ("sparse, 0.9", "sparse", {"sparsity": 0.9}),
    ("quantized (1 bit)", "quantized", {}),
)


def _checkpoints(folder: Path, command: str, levels: list[str], quick: bool) -> list[dict]:
    """A row a pair of checkpoints."""
    rows = []
    for run, pairs in (QUICK_STEPS if quick else STEPS).items():
        for dtype in fine_tunes.DTYPES:
            for first, last in pairs:
                print(f"patch: {run}, {dtype}, step {first} to {last}", file=sys.stderr, flush=True)
                base, tune = (fine_tunes.path_of(folder, run, step, dtype) for step in (first, last))
                sizes = {f"flyweight-{level}": _patch(base, tune, command, [f"--{level}"]) for level in levels}
                sizes |= patch_peers.of_files(base, tune, WIDTH[dtype], with_slow=first == 0)
                row = {"run": run, "dtype": dtype, "first": first, "last": last}
                rows.append({**row, "bytes": tune.stat().st_size, "codecs": sizes})
    return rows


def _patch(base: Path, tune: Path, command: str, options: list[str]) -> int:
    with tempfile.TemporaryDirectory(prefix="flyweight-bench-") as folder:
        patch, restored = Path(folder) / "patch.fly", Path(folder) / "restored"
        subprocess.run([command, "compress", "-q", *options, tune, "--base", base, "-o", patch], check=True)
        subprocess.run([command, "apply", "-q", base, patch, "-o", restored], check=True)
        if restored.read_bytes() != tune.read_bytes():
            raise WrongBytes(f"flyweight: {tune.name} comes back with other bytes")
        return patch.stat().st_size


def _buffers(folder: Path, levels: list[str], quick: bool) -> list[dict]:
    """A row a pair of buffers."""
    import flyweight

    rows = []
    for pair in patch_scenarios.PAIRS[:: 9 if quick else 1]:
        print(f"patch: {pair.name}, {pair.dtype}", file=sys.stderr, flush=True)
        current, reference = pair.make(folder)
        sizes = {}
        for level in levels:
            blob = flyweight.compress_delta(current, reference, dtype=pair.dtype, level=level)
            if bytes(flyweight.decompress_delta(blob, reference)) != current:
                raise WrongBytes(f"flyweight {level}: {pair.name} comes back with other bytes")
            sizes[f"flyweight-{level}"] = len(blob)
        sizes["z4ai"] = patch_peers.z4ai_buffer(current, reference, pair.dtype)
        sizes["zstd-1"] = patch_peers.zstd_xor(current, reference, 1)
        row = {"name": pair.name, "dtype": pair.dtype, "bound": pair.bound, "published": pair.z4ai_published}
        rows.append({**row, "bytes": len(current), "codecs": sizes})
    return rows


def _near_lossless(folder: Path, command: str) -> list[dict]:
    """A row a setting: bytes, and the error of the difference relative to the difference."""
    run, first, last, dtype = LOSSY_PAIR
    base, tune = (fine_tunes.path_of(folder, run, step, dtype) for step in (first, last))
    rows = []
    with tempfile.TemporaryDirectory(prefix="flyweight-bench-") as scratch:
        patch, restored = Path(scratch) / "patch.fly", Path(scratch) / "restored.safetensors"
        for error in LOSSY_ERRORS:
            options = ["--lossy-delta", f"error={error}", "--base", base, "-f"]
            subprocess.run([command, "compress", "-q", tune, *options, "-o", patch], check=True)
            subprocess.run([command, "apply", "-q", "-f", base, patch, "-o", restored], check=True)
            found = patch_peers.relative_error(base, tune, restored)
            rows.append({"codec": "flyweight", "setting": f"error={error}", "bytes": patch.stat().st_size, **found})
        for name, strategy, settings in DELTATENSORS:
            size, found = patch_peers.deltatensors(base, tune, Path(scratch), strategy, settings)
            rows.append({"codec": "deltatensors", "setting": name, "bytes": size, **found})
    return rows


def measure(folder: Path, command: str, levels: list[str], quick: bool) -> dict:
    fine_tunes.build(folder)
    levels = [level for level in levels if level in LEVELS]
    return {
        "checkpoints": _checkpoints(folder, command, levels, quick),
        "buffers": _buffers(folder, levels, quick),
        "near_lossless": [] if quick else _near_lossless(folder, command),
    }


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), "--quick" in sys.argv)))
