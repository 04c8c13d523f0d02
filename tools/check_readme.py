#!/usr/bin/env python3
"""Runs the examples of README.md, and checks the links of all documents.

Its ```sh and ```python blocks run in order, in a temporary folder that holds a model.safetensors and a fine-tune
of it, tune.safetensors.

Usage: .venv/bin/python tools/check_readme.py   exit 0 = all ran, 1 = one failed or a link leads nowhere
"""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[1]
# What scripts/bench writes; absent before it ran for the first time.
MADE_BY_BENCH = {"docs/results.md", "docs/size_speed.svg", "docs/exponents.svg"}


def broken_links(document: pathlib.Path) -> list[str]:
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text("utf-8"))
    local = (target for target in targets if not re.match(r"[a-z]+:", target))
    name = document.relative_to(ROOT).as_posix()
    return [f"{name}: a link leads to {target}, which is not there" for target in local
            if not (document.parent / target).exists() and target not in MADE_BY_BENCH]  # fmt: skip


def make_models(folder: pathlib.Path) -> None:
    random = np.random.default_rng(1)
    tensors = {f"layer.{i}.weight": random.standard_normal((256, 384)).astype(np.float32) for i in range(3)}
    save_file({**tensors, "norm.weight": np.ones(384, np.float16)}, folder / "model.safetensors")
    tensors["layer.1.weight"] += random.standard_normal((256, 384)).astype(np.float32) * np.float32(1e-4)
    save_file({**tensors, "norm.weight": np.ones(384, np.float16)}, folder / "tune.safetensors")


def run_examples() -> list[str]:
    blocks = re.findall(
        r"^```(sh|python)\n(.*?)^```", (ROOT / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    if not blocks:
        return ["README.md: no examples found"]
    environment = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        make_models(pathlib.Path(folder))
        for language, text in blocks:
            command = ["bash", "-euxo", "pipefail", "-c", text] if language == "sh" else [sys.executable, "-c", text]
            finished = subprocess.run(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if finished.returncode:
                output = finished.stdout + finished.stderr
                return [f"README.md: an example in {language} ended with status {finished.returncode}:\n{output}"]
    print(f"{len(blocks)} examples of README.md ran")
    return []


def main() -> int:
    documents = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
    complaints = [complaint for document in documents for complaint in broken_links(document)] + run_examples()
    print("\n".join(complaints))
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
