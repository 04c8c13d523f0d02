"""Runs of fine-tuning on MiniLM whose checkpoints the patches are measured on.

Two runs of 300 steps, one at a constant learning rate, one with warm-up and a cosine, as safetensors in fp32 and bf16.
They take some minutes to make and are kept. In a process of its own, for torch: `python -m bench.fine_tunes CORPUS`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from bench import corpus

STEPS = 300
KEPT = (0, 10, 20, 30, 290, 300)
DTYPES = ("bf16", "fp32")


@dataclass(frozen=True)
class Run:
    name: str
    learning_rate: float
    has_schedule: bool


RUNS = (Run("constant", 2e-5, False), Run("scheduled", 5e-5, True))


def path_of(folder: Path, run: str, step: int, dtype: str) -> Path:
    return folder / "fine_tunes" / run / f"{step}.{dtype}.safetensors"


def build(folder: Path) -> None:
    """Trains where a checkpoint is missing."""
    for run in RUNS:
        if not all(path_of(folder, run.name, step, dtype).exists() for step in KEPT for dtype in DTYPES):
            _train(folder, run)


def _train(folder: Path, run: Run) -> None:
    import torch
    from safetensors.torch import load_file, save

    from bench import fine_tune

    print(f"fine-tuning: {run.name}, {STEPS} steps", file=sys.stderr, flush=True)
    weights = load_file(folder / "minilm.fp32.safetensors")
    path_of(folder, run.name, 0, "fp32").parent.mkdir(parents=True, exist_ok=True)

    def keep(step: int, trained: dict[str, torch.Tensor]) -> None:
        if step in KEPT:
            whole = {name: trained.get(name, tensor).contiguous() for name, tensor in weights.items()}
            halves = {n: t.to(torch.bfloat16) if t.is_floating_point() else t for n, t in whole.items()}
            corpus.write(path_of(folder, run.name, step, "fp32"), save(whole))
            corpus.write(path_of(folder, run.name, step, "bf16"), save(halves))

    keep(0, {})
    schedule = fine_tune.warm_up_and_cosine if run.has_schedule else None
    text = (folder / "text.json").read_text()
    fine_tune.train(weights, text, STEPS, run.learning_rate, schedule, keep)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
