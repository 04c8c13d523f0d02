"""Some steps of AdamW on MiniLM: the states of a real training run, small enough to be made here.

The model learns to tell prose from code, as a sentence encoder would be taught: mean pooling, a linear layer with two
outputs, cross entropy. Both kinds of text come from the installed torch, whose version is pinned: docstrings and
statements of its modules. One thread and fixed seeds; other processors may round otherwise.
"""

from __future__ import annotations

import ast
import json
import math
import re
import unicodedata
from collections.abc import Callable
from pathlib import Path

import torch
from torch.nn import functional

STEPS, BATCH, TOKENS = 30, 16, 48
LEARNING_RATE, WEIGHT_DECAY, CLIP_NORM = 2e-5, 0.01, 1.0
LAYERS, HEADS, EPSILON = 6, 12, 1e-12
WINDOW_WORDS = 40
WARM_UP_STEPS = 20
SOURCES = ("nn/functional.py", "nn/modules/*.py", "optim/*.py", "distributions/*.py", "utils/data/*.py")
LONGEST_WORD = 100


class WordPiece:
    """BERT's tokenizer for ASCII text: lower case, punctuation apart, longest match first."""

    def __init__(self, tokenizer_json: dict) -> None:
        self.vocabulary: dict[str, int] = tokenizer_json["model"]["vocab"]

    def encode(self, text: str) -> list[int]:
        ids = [self.vocabulary["[CLS]"]]
        for word in re.findall(r"\w+|[^\w\s]", unicodedata.normalize("NFD", text.lower())):
            ids += self._pieces(word)
        return [*ids[: TOKENS - 1], self.vocabulary["[SEP]"]]

    def _pieces(self, word: str) -> list[int]:
        unknown = [self.vocabulary["[UNK]"]]
        if len(word) > LONGEST_WORD:
            return unknown
        pieces, begin = [], 0
        while begin < len(word):
            prefix = "##" if begin else ""
            end = next((e for e in range(len(word), begin, -1) if prefix + word[begin:e] in self.vocabulary), None)
            if end is None:
                return unknown
            pieces.append(self.vocabulary[prefix + word[begin:end]])
            begin = end
        return pieces


def _texts() -> tuple[list[str], list[str]]:
    """Windows of words of docstrings, and of code without them."""
    prose, code = [], []
    root = Path(torch.__file__).parent
    for pattern in SOURCES:
        for path in sorted(root.glob(pattern)):
            tree = ast.parse(path.read_text())
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
                    prose += _windows(ast.get_docstring(node) or "")
                    node.body = node.body[1:] or [ast.Pass()]
            code += _windows(ast.unparse(tree))
    return prose, code


def _windows(text: str) -> list[str]:
    words = text.split()
    return [" ".join(words[at : at + WINDOW_WORDS]) for at in range(0, len(words) - WINDOW_WORDS, WINDOW_WORDS)]


def _forward(weights: dict[str, torch.Tensor], ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean of the last layer's outputs over the tokens in `mask`."""

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON)

    def linear(x: torch.Tensor, name: str) -> torch.Tensor:
        return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    x = functional.embedding(ids, weights["embeddings.word_embeddings.weight"])
    x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    attended = mask[:, None, None, :].bool()
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            linear(x, f"{layer}.attention.self.{part}").unflatten(-1, (HEADS, -1)).transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=attended)
        mixed = linear(mixed.transpose(1, 2).flatten(2), f"{layer}.attention.output.dense")
        x = norm(x + mixed, f"{layer}.attention.output.LayerNorm")
        inner = functional.gelu(linear(x, f"{layer}.intermediate.dense"))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    return (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def _batch(random: torch.Generator, texts: tuple[list[list[int]], list[list[int]]]) -> tuple[torch.Tensor, ...]:
    labels = torch.arange(BATCH) % 2
    rows = []
    for label in labels.tolist():
        pool = texts[label]
        rows.append(pool[int(torch.randint(len(pool), (1,), generator=random))])
    ids = torch.zeros(BATCH, TOKENS, dtype=torch.long)
    mask = torch.zeros(BATCH, TOKENS)
    for number, row in enumerate(rows):
        ids[number, : len(row)] = torch.tensor(row)
        mask[number, : len(row)] = 1
    return ids, mask, labels


def warm_up_and_cosine(step: int, steps: int) -> float:
    """The share of the learning rate that step `step` of `steps`, from 0, has: it rises in a line, then falls as a
    cosine."""
    if step < WARM_UP_STEPS:
        return (step + 1) / WARM_UP_STEPS
    return 0.5 * (1 + math.cos(math.pi * (step - WARM_UP_STEPS) / (steps - WARM_UP_STEPS)))


def train(
    weights: dict[str, torch.Tensor],
    text_json: str,
    steps: int = STEPS,
    learning_rate: float = LEARNING_RATE,
    schedule: Callable[[int, int], float] | None = None,
    after_step: Callable[[int, dict[str, torch.Tensor]], None] | None = None,
) -> tuple[dict, dict, list[float]]:
    """The model's state dict and the optimizer's after the last step, with names for numbers, and the losses.
    `schedule` gives the share of the learning rate of a step; `after_step` is called with the number of steps that were
    made and the weights, without those of the classifier."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    texts = _tokens(text_json)
    trained = {name: t.clone().requires_grad_() for name, t in weights.items() if t.is_floating_point()}
    width = trained["embeddings.word_embeddings.weight"].shape[1]
    classifier = {
        "classifier.weight": (0.02 * torch.randn(2, width)).requires_grad_(),
        "classifier.bias": torch.zeros(2).requires_grad_(),
    }
    parameters = [*trained.values(), *classifier.values()]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=WEIGHT_DECAY)
    random = torch.Generator().manual_seed(1)
    losses = []
    for step in range(steps):
        if schedule is not None:
            optimizer.param_groups[0]["lr"] = learning_rate * schedule(step, steps)
        losses.append(_step(optimizer, trained, classifier, _batch(random, texts)))
        if after_step is not None:
            after_step(step + 1, {name: tensor.detach() for name, tensor in trained.items()})
    others = {name: tensor for name, tensor in weights.items() if name not in trained}
    model = {**others, **{name: tensor.detach() for name, tensor in {**trained, **classifier}.items()}}
    return model, optimizer.state_dict(), losses


def _tokens(text_json: str) -> tuple[list[list[int]], list[list[int]]]:
    tokenizer = WordPiece(json.JSONDecoder().raw_decode(text_json)[0])
    prose, code = _texts()
    return [tokenizer.encode(text) for text in prose], [tokenizer.encode(text) for text in code]


def _step(optimizer: torch.optim.Optimizer, trained: dict, classifier: dict, batch: tuple[torch.Tensor, ...]) -> float:
    ids, mask, labels = batch
    pooled = _forward(trained, ids, mask)
    outputs = functional.linear(pooled, classifier["classifier.weight"], classifier["classifier.bias"])
    loss = functional.cross_entropy(outputs, labels)
    optimizer.zero_grad()
    loss.backward()
    parameters = [*trained.values(), *classifier.values()]
    torch.nn.utils.clip_grad_norm_([p for p in parameters if p.grad is not None], CLIP_NORM)
    optimizer.step()
    return loss.item()
