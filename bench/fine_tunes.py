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

# Whose speed is measured, from step 0: the case's name and what the tables call it.
SPEED_CASES = {
    "fine_tunes/constant/30.bf16": "30 steps, bf16",
    "fine_tunes/constant/300.bf16": "300 steps, bf16",
    "fine_tunes/constant/30.fp32": "30 steps, fp32",
    "fine_tunes/constant/300.fp32": "300 steps, fp32",
    "fine_tunes/one_percent/1.bf16": "1 % changed, bf16",
}


def path_of(folder: Path, run: str, step: int, dtype: str) -> Path:
    return folder / "fine_tunes" / run / f"{step}.{dtype}.safetensors"


# Not trained: step 1 is MiniLM with one in a hundred weights moved by one or two units in the last place.
ONE_PERCENT = "one_percent"


def build(folder: Path) -> None:
    """Trains where a checkpoint is missing."""
    _one_percent(folder)
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


def _one_percent(folder: Path) -> None:
    from bench import patch_scenarios

    first, last = (path_of(folder, ONE_PERCENT, step, "bf16") for step in (0, 1))
    if first.exists() and last.exists():
        return
    first.parent.mkdir(parents=True, exist_ok=True)
    case = corpus.load_case(folder, "minilm.bf16")
    tuned, reference = patch_scenarios.one_percent(folder)
    header = case.file[: case.file.size - case.payload.size].tobytes()
    rest = case.payload[len(reference) :].tobytes()
    corpus.write(first, header + reference + rest)
    corpus.write(last, header + tuned + rest)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
