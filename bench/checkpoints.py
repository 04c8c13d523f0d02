"""Training checkpoints: model and optimizer state in one file.

One is real and public (Resemblyzer's, in torch's old pickle form), two are made by `bench.fine_tune`: as
`torch.save` writes model and AdamW state in fp32, and as mixed precision has it, weights in bf16 beside masters and
states in fp32, as safetensors. In a process of its own: `python -m bench.checkpoints CORPUS COMMAND LEVELS [--quick]`.
"""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

from bench import corpus, sizes

RESEMBLYZER_PACKAGE = "Resemblyzer==0.1.4"
RESEMBLYZER_MEMBER = "resemblyzer/pretrained.pt"
RESEMBLYZER = "Resemblyzer, Adam, fp32, old .pt"
FINE_TUNE = "MiniLM, 30 steps of AdamW, fp32, .pt"
MIXED = "MiniLM, 30 steps of AdamW, bf16 weights, fp32 masters, safetensors"


def _build(folder: Path, quick: bool) -> dict[str, Path]:
    """The files that are there or can be made; with `quick` only what needs no training."""
    target = folder / "checkpoints"
    target.mkdir(parents=True, exist_ok=True)
    resemblyzer = target / "resemblyzer.pt"
    if not resemblyzer.exists():
        with zipfile.ZipFile(corpus.download(RESEMBLYZER_PACKAGE, folder)) as archive:
            corpus.write(resemblyzer, archive.read(RESEMBLYZER_MEMBER))
    if quick:
        return {RESEMBLYZER: resemblyzer}
    plain, mixed = target / "minilm.adamw.pt", target / "minilm.adamw.mixed.safetensors"
    if not plain.exists() or not mixed.exists():
        _fine_tune(folder, plain, mixed)
    return {RESEMBLYZER: resemblyzer, FINE_TUNE: plain, MIXED: mixed}


def _fine_tune(folder: Path, plain: Path, mixed: Path) -> None:
    import torch
    from safetensors.torch import load_file, save

    from bench import fine_tune

    print("checkpoints: training", file=sys.stderr, flush=True)
    weights = load_file(folder / "minilm.fp32.safetensors")
    model, optimizer, losses = fine_tune.train(weights, (folder / "text.json").read_text())
    print(f"checkpoints: loss {losses[0]:.3f} to {losses[-1]:.3f}", file=sys.stderr, flush=True)
    part = plain.with_suffix(".part")
    torch.save({"model": model, "optimizer": optimizer, "step": fine_tune.STEPS}, part)
    part.replace(plain)
    tensors = {}
    names = [name for name, tensor in model.items() if tensor.is_floating_point()]
    for name, tensor in model.items():
        tensors[f"model.{name}"] = tensor.to(torch.bfloat16) if tensor.is_floating_point() else tensor
    for number, name in enumerate(names):
        tensors[f"master.{name}"] = model[name]
        for key, value in optimizer["state"].get(number, {}).items():
            tensors[f"{key}.{name}"] = value
    corpus.write(mixed, save({name: tensor.contiguous() for name, tensor in tensors.items()}))


def _parts(path: Path) -> list[sizes.Part]:
    if path.suffix == ".safetensors":
        return sizes.safetensors_parts(path)
    import torch

    names = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}
    parts: dict[int, sizes.Part] = {}

    def visit(value: object) -> None:
        if isinstance(value, dict):
            for child in value.values():
                visit(child)
        elif isinstance(value, list | tuple):
            for child in value:
                visit(child)
        elif isinstance(value, torch.Tensor):
            data = memoryview(value.detach().contiguous().reshape(-1).view(torch.uint8).numpy())
            parts[value.untyped_storage().data_ptr()] = sizes.Part(names.get(value.dtype, ""), data)

    visit(torch.load(path, map_location="cpu", weights_only=True))
    return list(parts.values())


def measure(folder: Path, command: str, levels: list[str], quick: bool) -> list[dict]:
    """A row a file: its bytes, and what each codec needs."""
    rows = []
    for name, path in _build(folder, quick).items():
        print(f"checkpoint: {name}", file=sys.stderr, flush=True)
        found = sizes.of_file(path, command, levels, _parts(path), peers=False)
        rows.append({"name": name, "bytes": path.stat().st_size, "codecs": found})
    return rows


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]), sys.argv[2], sys.argv[3].split(","), "--quick" in sys.argv)))
