"""The command on a file of 2 GB: wall time and peak memory, beside cp, zstd and sha256sum on the same file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from bench.corpus import load_case

FILE_BYTES = 2_000_000_000
NOISE = 0.01
START_UP_RUNS = 20


def make_large_file(corpus: Path, target: Path, size_bytes: int) -> None:
    """Writes a bf16 model of at least `size_bytes`: copies of the corpus, each with its own noise, no tensor twice."""
    import torch

    sources = []
    for name in ("minilm.fp32", "crepe.fp32"):
        for tensor in load_case(corpus, name).tensors:
            if tensor.dtype == "F32":
                values = torch.frombuffer(bytearray(tensor.data.tobytes()), dtype=torch.float32)
                sources.append((tensor.name, tensor.shape, values))
    copies = -(-size_bytes // sum(2 * values.numel() for _, _, values in sources))
    header: dict = {}
    offset = 0
    for copy in range(copies):
        for name, shape, values in sources:
            end = offset + 2 * values.numel()
            header[f"{copy}.{name}"] = {"dtype": "BF16", "shape": shape, "data_offsets": [offset, end]}
            offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    torch.manual_seed(1)
    with open(target, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _ in range(copies):
            for _, _, values in sources:
                noisy = values * (1 + NOISE * torch.randn(values.numel()))
                file.write(noisy.to(torch.bfloat16).view(torch.uint8).numpy())


def measure(corpus: Path, folder: Path, command: str, rounds: int) -> dict:
    """Each command once a round, in turn. The page cache is warm; what is written is synced to disk within the time."""
    needed = 4 * FILE_BYTES
    folder.mkdir(parents=True, exist_ok=True)
    if shutil.disk_usage(folder).free < needed:
        return {"skipped": f"less than {needed / 1e9:.0f} GB free on disk"}
    source, archive, restored = folder / "large.safetensors", folder / "large.fly", folder / "restored"
    packed = folder / "large.zst"
    try:
        make_large_file(corpus, source, FILE_BYTES)
        commands = _commands(command, source, archive, restored, packed)
        runs: dict[str, list[dict]] = {name: [] for name in commands}
        subprocess.run(["sync"], check=True)
        for _ in range(rounds):
            for name, arguments in commands.items():
                print(f"2 GB file: {name}", file=sys.stderr, flush=True)
                runs[name] += _launch(arguments)
                if name.startswith("flyweight decompress"):
                    subprocess.run(["cmp", str(source), str(restored)], check=True)
                    restored.unlink()
        return {
            "file_bytes": source.stat().st_size,
            "archive_bytes": archive.stat().st_size,
            "zstd_bytes": packed.stat().st_size if packed.exists() else 0,
            "runs": runs,
        }
    finally:
        for path in (source, archive, restored, packed):
            path.unlink(missing_ok=True)


def start_up(command: str) -> dict:
    """Wall seconds of `flyweight --version`, and of a program that does nothing."""
    return {
        "flyweight": [run["wall_s"] for run in _launch([command, "--version"], START_UP_RUNS)],
        "true": [run["wall_s"] for run in _launch(["true"], START_UP_RUNS)],
    }


def _commands(command: str, source: Path, archive: Path, restored: Path, packed: Path) -> dict[str, list[str]]:
    commands: dict[str, list[str]] = {}
    for threads in (1, 2):
        option = f"-T{threads}"
        commands[f"flyweight compress {option}"] = [
            command,
            "compress",
            "-q",
            "-f",
            option,
            str(source),
            "-o",
            str(archive),
        ]
        commands[f"flyweight decompress {option}"] = [
            command,
            "decompress",
            "-q",
            "-f",
            option,
            str(archive),
            "-o",
            str(restored),
        ]
    commands["cp, sync"] = ["sh", "-c", f'cp "{source}" "{restored}" && sync "{restored}"']
    if shutil.which("zstd"):
        commands["zstd -3 -T2, sync"] = ["sh", "-c", f'zstd -3 -T2 -q -f "{source}" -o "{packed}" && sync "{packed}"']
        commands["zstd -d, sync"] = ["sh", "-c", f'zstd -d -q -f "{packed}" -o "{restored}" && sync "{restored}"']
    commands["sha256sum"] = ["sha256sum", str(source)]
    return commands


def _launch(arguments: list[str], count: int = 1) -> list[dict]:
    launcher = Path(__file__).with_name("launch.py")
    result = subprocess.run(
        [sys.executable, "-S", "-E", str(launcher), str(count), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return json.loads(result.stdout)
