"""Sizes and speeds of all codecs on one case, in rounds: every codec once a round, one at a time on one CPU."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from bench.levels import DEFAULT
from bench.worker import Worker, WorkerFailed

WARM_UP_ROUNDS = 2
# Too slow to encode more than once: their encode speed is a single measurement.
ENCODED_ONCE = {"zstd-19", "pcodec-12", "bigsmall", "z4ai", "flyweight-max"}
# Too slow to decode in every round: the first rounds that count have to do.
DECODED_SELDOM = {"bigsmall", "flyweight-max"}
SELDOM_ROUNDS = 2


@dataclass
class Entrant:
    """A codec in an environment, under the name that the tables use."""

    label: str
    codec: str
    environment: dict[str, str] = field(default_factory=dict)


PEERS = [
    Entrant(name, name)
    for name in (
        "zipnn",
        "zipnn-tensors",
        "openzl-fse",
        "openzl-huffman",
        "pcodec-8",
        "pcodec-12",
        "bigsmall",
        "z4ai",
        "blosc2-shuffle",
        "blosc2-bitshuffle",
        "zstd-3",
        "zstd-19",
    )
]


def flyweights(isas: list[str], levels: list[str]) -> list[Entrant]:
    """flyweight as it comes, held to each instruction set of `isas`, and at each of `levels` beside its default."""
    found = []
    for codec in ("flyweight-archive", "flyweight-tensors"):
        found.append(Entrant(codec, codec))
        found += [Entrant(f"{codec}@{isa}", codec, {"FLYWEIGHT_ISA": isa}) for isa in isas]
    tiers = [f"flyweight-{level}" for level in levels if level != DEFAULT]
    return [*found, Entrant("flyweight-sha256", "flyweight-sha256"), *(Entrant(tier, tier) for tier in tiers)]


def patches(isas: list[str]) -> list[Entrant]:
    """flyweight's patches and what they are compared with."""
    found = [Entrant("memcpy", "memcpy"), Entrant("zstd-xor", "zstd-xor")]
    for codec in ("flyweight-patch", "flyweight-patch-in-place"):
        found.append(Entrant(codec, codec))
        found += [Entrant(f"{codec}@{isa}", codec, {"FLYWEIGHT_ISA": isa}) for isa in isas if isa != "scalar"]
    return found


def measure(folder: Path, case: str, entrants: list[Entrant], rounds: int) -> dict:
    """Times in seconds of CPU, one entry a round; `encode_s` has one entry for the codecs that are encoded once."""
    cpu = max(os.sched_getaffinity(0))
    workers = [Worker(entrant.codec, folder, case, cpu, entrant.environment) for entrant in entrants]
    try:
        results = {entrant.label: _first(entrant, worker) for entrant, worker in zip(entrants, workers, strict=True)}
        for number in range(WARM_UP_ROUNDS + rounds):
            _progress(f"{case}: round {number + 1} of {WARM_UP_ROUNDS + rounds}")
            for entrant, worker in zip(entrants, workers, strict=True):
                _one_round(results[entrant.label], entrant, worker, number - WARM_UP_ROUNDS)
        _check_same_bytes(case, results)
        return {"payload_bytes": workers[0].info["payload_bytes"], "codecs": results}
    finally:
        _progress("")
        for worker in workers:
            worker.close()


def _check_same_bytes(case: str, results: dict) -> None:
    """flyweight's bytes must not depend on the instruction set."""
    for label, result in results.items():
        plain = label.partition("@")[0]
        if result["digest"] != results[plain]["digest"]:
            raise WorkerFailed(f"{case}: {label} made other bytes than {plain}")


def _first(entrant: Entrant, worker: Worker) -> dict:
    result: dict = {"settings": worker.info["settings"], "encode_s": [], "decode_s": []}
    if entrant.codec in ENCODED_ONCE:
        _progress(f"{entrant.label}: encoding once")
        answer = worker.ask("encode")
        result["encode_s"] = [answer["cpu_s"]]
        result.update(encoded_bytes=answer["encoded_bytes"], digest=answer["digest"])
    return result


def _one_round(result: dict, entrant: Entrant, worker: Worker, number: int) -> None:
    """Rounds with a `number` under 0 warm up."""
    keep = number >= 0
    if entrant.codec not in ENCODED_ONCE:
        answer = worker.ask("encode")
        result.update(encoded_bytes=answer["encoded_bytes"], digest=answer["digest"])
        if keep:
            result["encode_s"].append(answer["cpu_s"])
    if entrant.codec in DECODED_SELDOM and not 0 <= number < SELDOM_ROUNDS:
        return
    answer = worker.ask("decode")
    if keep:
        result["decode_s"].append(answer["cpu_s"])


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)
