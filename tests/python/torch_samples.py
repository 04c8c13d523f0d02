"""Small objects of every kind that people save with PyTorch."""

from __future__ import annotations

import collections
from typing import Any

import torch

from torch_oracle import DTYPES, any_bits


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(5)
        self.embed = torch.nn.Embedding(6, 4)
        self.body = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))
        self.head = torch.nn.Linear(4, 6, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.body(self.embed(tokens)) + torch.tensor([1.5, 2.5, 3.5])


def every_dtype() -> dict[str, torch.Tensor]:
    return {f"layer.{number}": any_bits(dtype, (5, 4), number) for number, dtype in enumerate(DTYPES)}


def training_checkpoint() -> dict[str, Any]:
    """A checkpoint of a training loop: state of the model, of the optimizer, numbers and texts among them."""
    model = Small()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    model(torch.tensor([1, 2, 3])).square().sum().backward()
    optimizer.step()
    return {
        "epoch": 3,
        "model": collections.OrderedDict(model.state_dict()),
        "optimizer": optimizer.state_dict(),
        "history": [0.5, {"loss": torch.tensor([0.25, 0.125])}, (torch.arange(3), None)],
        "args": {"name": "small", "betas": (0.9, 0.999), 7: torch.tensor(7.75)},
    }


def views() -> dict[str, torch.Tensor]:
    base = any_bits(torch.int16, (6, 8), 21)
    shared = any_bits(torch.int32, (40,), 22)
    flat = any_bits(torch.float32, (30,), 23)
    tied = any_bits(torch.float16, (3, 7), 24)
    return {
        "rows": base[2:4],
        "transposed": any_bits(torch.int64, (3, 5), 25).T,
        "low": shared[:25],
        "high": shared[15:],
        "flat.weight": flat[:24].view(4, 6),
        "flat.bias": flat[24:],
        "tied.a": tied,
        "tied.b": tied.view(21),
        "column": any_bits(torch.int8, (4, 6), 26)[:, 1],
        "expanded": any_bits(torch.uint8, (9, 1), 27).expand(9, 4),
        "channels_last": any_bits(torch.bfloat16, (2, 3, 4, 5), 28).to(memory_format=torch.channels_last),
    }


def odd_shapes() -> dict[str, torch.Tensor]:
    return {
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.empty((0, 7), dtype=torch.float16),
        "ones": any_bits(torch.int32, (1, 3, 1, 1), 31),
        "many": any_bits(torch.uint8, (1, 2, 1, 2, 1, 2, 1, 2, 1, 2), 32),
        "parameter": torch.nn.Parameter(any_bits(torch.float32, (3, 2), 33)),
        "buffer": torch.nn.Buffer(any_bits(torch.float32, (2, 2), 34)),
        "large": any_bits(torch.bfloat16, (130, 64), 35),
        "name with spaces and \u00fc.\U0001f98b": any_bits(torch.int64, (3,), 36),
    }


SAMPLES = {
    "every_dtype": every_dtype,
    "training_checkpoint": training_checkpoint,
    "views": views,
    "odd_shapes": odd_shapes,
    "list": lambda: [any_bits(torch.float32, (4,), 41), {"x": any_bits(torch.float32, (5,), 42)}],
    "one_tensor": lambda: any_bits(torch.float32, (4, 3), 43),
    "no_tensors": lambda: {"epoch": 3, "name": "x" * 5000},
}
