"""What hashing costs on one core, in GB/s: XXH3 guards every chunk, SHA-256 names tensors and files."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import xxhash

from bench.corpus import load_case


def measure(folder: Path, rounds: int) -> dict:
    """Seconds of CPU, a list a hash; both over the same warm buffer, alternating."""
    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(allowed)})
    try:
        data = load_case(folder, "minilm.bf16").payload
        hashes = {"sha256": lambda: hashlib.sha256(data).digest(), "xxh3": lambda: xxhash.xxh3_64_digest(data)}
        seconds: dict[str, list[float]] = {name: [] for name in hashes}
        for _ in range(rounds):
            for name, run in hashes.items():
                begin = time.process_time()
                run()
                seconds[name].append(time.process_time() - begin)
        return {"bytes": data.nbytes, "seconds": seconds}
    finally:
        os.sched_setaffinity(0, allowed)
