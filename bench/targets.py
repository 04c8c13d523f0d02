"""What flyweight set out to reach, and whether the measured figures do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from bench.figures import CaseFigures, scaling, speed_of_two

SIZE_PERCENT = {"minilm.bf16": 66.1, "crepe.bf16": 65.2, "minilm.fp16": 84.7, "minilm.fp32": 81.9, "crepe.fp32": 62.0}
BF16_CASES = ("minilm.bf16", "crepe.bf16")
DECODE_OVER_ZIPNN = {"avx512": 3.0, "avx2": 2.2}
ENCODE_OVER_ZIPNN = 1.7
TWO_THREADS = 1.7
# Two threads that reach this share of what a copy by two threads reaches are bound by memory.
MEMORY_BOUND = 0.8
START_UP_S = 0.020
MEMORY_MIB, MEMORY_MIB_PER_THREAD = 64, 16
# A command is bound by the disk or by the codec where it waits for nothing else: its wall time is near the larger of
# its own CPU time and of a copy of the file.
WALL_SLACK = 1.25


@dataclass
class Verdict:
    what: str
    wanted: str
    measured: str
    reached: bool


def judge(results: dict) -> list[Verdict]:
    cases = {name: CaseFigures(name, case) for name, case in results["cases"].items()}
    if not any("flyweight-archive" in case for case in cases.values()):
        return []
    speeds = [*_decode(results, cases), *_encode(cases), *_threads(results)]
    return [*_sizes(cases), *speeds, *_wall(results), *_start_up(results), *_memory(results)]


def _sizes(cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    for name, wanted in SIZE_PERCENT.items():
        if name in cases:
            size = cases[name].size("flyweight-archive")
            yield Verdict(f"size of {name}, % of tensor bytes", f"<= {wanted}", f"{size:.2f}", size <= wanted)


def _decode(results: dict, cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    native = "avx512" if "avx512_vbmi2" in results["machine"]["isa"] else "avx2"
    for isa, wanted in DECODE_OVER_ZIPNN.items():
        way = "flyweight-archive" if isa == native else f"flyweight-archive@{isa}"
        for name in BF16_CASES:
            ratio = cases[name].over_zipnn(way, "decode") if name in cases and way in cases[name] else None
            if ratio is not None:
                what = f"decode of {name} over ZipNN, {'AVX-512' if isa == 'avx512' else 'AVX2'}"
                yield Verdict(what, f">= {wanted} x", f"{ratio:.2f} x", ratio >= wanted)


def _encode(cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    for name in BF16_CASES:
        ratio = cases[name].over_zipnn("flyweight-tensors", "encode") if name in cases else None
        if ratio is not None:
            yield Verdict(
                f"encode of {name} over ZipNN",
                f">= {ENCODE_OVER_ZIPNN} x",
                f"{ratio:.2f} x",
                ratio >= ENCODE_OVER_ZIPNN,
            )


def _threads(results: dict) -> Iterator[Verdict]:
    for name, threads in results.get("threads", {}).items():
        copying = speed_of_two(threads, "memcpy")
        for task in ("large tensor, encode", "large tensor, decode"):
            factor, share = scaling(threads, task), speed_of_two(threads, task) / copying
            measured = f"{factor:.2f} x ({share:.2f} of memcpy)"
            wanted = f">= {TWO_THREADS} x or {MEMORY_BOUND} of memcpy"
            reached = factor >= TWO_THREADS or share >= MEMORY_BOUND
            yield Verdict(f"two threads over one, {name}, {task}", wanted, measured, reached)


def _wall(results: dict) -> Iterator[Verdict]:
    runs = results.get("large_file", {}).get("runs", {})
    for name in ("flyweight compress -T1", "flyweight decompress -T1"):
        if name in runs:
            wall, own, copy = (
                median(run[key] for run in runs[command])
                for command, key in ((name, "wall_s"), (name, "cpu_s"), ("cp, sync", "wall_s"))
            )
            bound = WALL_SLACK * max(own, copy)
            what = f"wall of `{name}`, 2 GB file: {WALL_SLACK} x its CPU time or that of `cp, sync`"
            yield Verdict(what, f"<= {bound:.2f} s", f"{wall:.2f} s", wall <= bound)


def _start_up(results: dict) -> Iterator[Verdict]:
    if "start_up" in results:
        seconds = median(results["start_up"]["flyweight"])
        yield Verdict(
            "start-up of the command", f"< {START_UP_S * 1e3:.0f} ms", f"{seconds * 1e3:.1f} ms", seconds < START_UP_S
        )


def _memory(results: dict) -> Iterator[Verdict]:
    runs = results.get("large_file", {}).get("runs", {})
    for name, measured in runs.items():
        if name.startswith("flyweight"):
            threads = int(name.rsplit("-T", 1)[1])
            wanted = MEMORY_MIB + MEMORY_MIB_PER_THREAD * threads
            peak = max(run["peak_kib"] for run in measured) / 1024
            yield Verdict(f"peak memory of `{name}`, 2 GB file", f"<= {wanted} MiB", f"{peak:.0f} MiB", peak <= wanted)
