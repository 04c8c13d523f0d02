"""The search for a base: CPU time of the command over a folder of models that it has not seen, their pages warm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np

CANDIDATES = 2000
TENSORS = 24
SHAPE = (64, 96)


def measure(scratch: Path, command: str, rounds: int) -> dict:
    """Seconds of CPU time, start and choice included; 2,000 checkpoints of a small bf16 model and one more."""
    folder = scratch / "candidates"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        variant = scratch / "variant.safetensors"
        _write_models(folder, variant)
        return {"candidates": CANDIDATES, "seconds": [_search(command, variant, folder) for _ in range(rounds)]}
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _write_models(folder: Path, variant: Path) -> None:
    generator = np.random.default_rng(1)
    size = SHAPE[0] * SHAPE[1]
    words = (0x3C00 + generator.integers(0, 512, TENSORS * size)).astype(np.uint16)
    header = {
        f"layer.{i}.weight": {"dtype": "BF16", "shape": SHAPE, "data_offsets": [2 * size * i, 2 * size * (i + 1)]}
        for i in range(TENSORS)
    }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    for number in range(CANDIDATES + 1):
        moved = generator.random(len(words)) < 0.01
        words = words ^ moved.astype(np.uint16)
        path = variant if number == CANDIDATES else folder / f"step-{number}.safetensors"
        path.write_bytes(len(text).to_bytes(8, "little") + text + words.tobytes())


def _search(command: str, variant: Path, folder: Path) -> float:
    words = [command, "compress", str(variant), "--auto-base", "--base-dir", str(folder), "--dry-run", "-T1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        told = process.stderr.read() if process.stderr else ""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0 or f"step-{CANDIDATES - 1}" not in told:
        raise subprocess.CalledProcessError(process.returncode, words, stderr=told)
    return usage.ru_utime + usage.ru_stime
