"""What one rank of the checkpoint tests does: python -m torch.distributed.run ... checkpoint_ranks.py ACTION FOLDER.

save    trains a little, saves in several ways, and keeps what a plain gather makes of the state as FOLDER/want.pt
load    loads all of them into models of other values and compares every bit
"""

from __future__ import annotations

import datetime
import pathlib
import sys
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict, set_state_dict
from torch.distributed.checkpoint.state_dict_saver import AsyncCheckpointerType
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from flyweight.checkpoint import FlyweightReader, FlyweightWriter

KINDS = ("plain", "fsdp")
CHAIN_STEPS = 4
PLAIN_DATA: dict[str, Any] = {
    "step": 7,
    "lr": 0.1 + 0.2,
    "loss": float("inf"),
    "name": "run \N{GREEK SMALL LETTER ALPHA}",
    "betas": (0.9, 0.999),
    "sampler": {"seed": 3, "order": [1, 2, None, True]},
    "history": ({5: -0.0, "when": [1, {}]}, {}),
    "blob": b"\x00\xff",
    "dtype": torch.bfloat16,
}


class Model(torch.nn.Module):
    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embed = torch.nn.Embedding(37, 24)
        self.body = torch.nn.ModuleList(torch.nn.Linear(24, 24) for _ in range(2))
        # Fewer rows than ranks: some ranks hold an empty shard.
        self.head = torch.nn.Linear(24, 1)
        self.register_buffer("scale", torch.tensor(1.5))
        self.register_buffer("steps", torch.arange(11))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        for layer in self.body:
            x = torch.tanh(layer(x))
        return self.head(x) * self.scale


def make(kind: str, seed: int) -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    model = Model(seed)
    if kind == "fsdp":
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        for layer in model.body:
            fully_shard(layer, mesh=mesh)
        fully_shard(model, mesh=mesh)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-2)


def train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        tokens = torch.arange(12, dtype=torch.int64).reshape(3, 4) + step
        model(tokens).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def state_of(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    model_state, optimizer_state = get_state_dict(model, optimizer)
    return {"model": model_state, "optimizer": optimizer_state, "extra": dict(PLAIN_DATA)}


def gathered(model: torch.nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    model_state, optimizer_state = get_state_dict(model, optimizer, options=options)
    return {"model": model_state, "optimizer": optimizer_state}


def keep_wanted(model: torch.nn.Module, optimizer: torch.optim.Optimizer, path: pathlib.Path) -> None:
    wanted = gathered(model, optimizer)
    if dist.get_rank() == 0:
        torch.save(wanted, path)


def assert_same(found: Any, wanted: Any, where: str = "state") -> None:
    if isinstance(found, DTensor):
        found = found.full_tensor()
    if isinstance(wanted, torch.Tensor):
        assert found.dtype == wanted.dtype and found.shape == wanted.shape, where
        assert torch.equal(found.reshape(-1).view(torch.uint8), wanted.reshape(-1).view(torch.uint8)), where
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for key in wanted:
            assert_same(found[key], wanted[key], f"{where}.{key}")
    elif isinstance(wanted, (list, tuple)):
        assert type(found) is type(wanted) and len(found) == len(wanted), where
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    else:
        assert type(found) is type(wanted) and found == wanted, where


def save(folder: pathlib.Path) -> None:
    for kind in KINDS:
        model, optimizer = make(kind, seed=1)
        train(model, optimizer, 3)
        dcp.save(state_of(model, optimizer), storage_writer=FlyweightWriter(folder / kind))
        keep_wanted(model, optimizer, folder / f"{kind}.want.pt")
        ways = {"thread": AsyncCheckpointerType.THREAD, "process": AsyncCheckpointerType.PROCESS}
        for way, checkpointer in ways.items() if kind == "fsdp" else ():
            future = dcp.async_save(
                state_of(model, optimizer),
                storage_writer=FlyweightWriter(folder / f"{kind}-{way}"),
                async_checkpointer_type=checkpointer,
                # Its own: those of training and of saving would wait for each other.
                process_group=dist.new_group(backend="gloo"),
            )
            # What is saved is the state at the time of the call, whatever becomes of the model meanwhile.
            train(model, optimizer, 1)
            future.result()
            dcp.load(before := state_of(model, optimizer), storage_reader=FlyweightReader(folder / kind))
            set_state_dict(model, optimizer, model_state_dict=before["model"], optim_state_dict=before["optimizer"])
    chain = folder / "chain"
    model, optimizer = make("fsdp", seed=1)
    writer = FlyweightWriter(chain / "step-0", base="previous", key_frame_every=3)
    for step in range(CHAIN_STEPS):
        train(model, optimizer, 1)
        dcp.save(state_of(model, optimizer), storage_writer=writer, checkpoint_id=chain / f"step-{step}")
        keep_wanted(model, optimizer, chain / f"step-{step}.want.pt")
    dist.barrier()


def load(folder: pathlib.Path) -> None:
    saved = [(kind, folder / kind, folder / f"{kind}.want.pt") for kind in KINDS]
    saved += [("fsdp", folder / f"fsdp-{way}", folder / "fsdp.want.pt") for way in ("thread", "process")]
    saved += [
        ("fsdp", folder / "chain" / f"step-{n}", folder / "chain" / f"step-{n}.want.pt") for n in range(CHAIN_STEPS)
    ]

    for kind, path, want_path in saved:
        model, optimizer = make(kind, seed=2)
        train(model, optimizer, 1)
        state = state_of(model, optimizer)
        state["extra"] = dict.fromkeys(PLAIN_DATA)
        state["extra"]["sampler"] = {"seed": None, "order": None}
        dcp.load(state, storage_reader=FlyweightReader(path))
        assert_same(state["extra"], PLAIN_DATA, "extra")
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
        found = gathered(model, optimizer)
        if dist.get_rank() == 0:
            assert_same(found, torch.load(want_path, weights_only=True))
    dist.barrier()


def main() -> None:
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=120))
    {"save": save, "load": load}[sys.argv[1]](pathlib.Path(sys.argv[2]))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
