"""What flyweight set out to reach, and whether the measured figures do."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from bench import patch_targets
from bench.figures import BALANCED, TIERS, CaseFigures, scaling, speed_of_two
from bench.never import excesses
from bench.verdict import Verdict

# Percent of the tensor bytes by level.
SIZE_PERCENT = {
    "minilm.bf16": {"fast": 66.6, "balanced": 66.0, "high": 65.8, "max": 65.5},
    "crepe.bf16": {"fast": 68.2, "balanced": 65.1, "high": 64.9, "max": 64.4},
    "minilm.fp32": {"balanced": 81.7, "high": 81.4},
    "crepe.fp32": {"balanced": 61.4, "high": 61.0},
    "minilm.fp16": {"balanced": 84.5, "high": 84.2},
}
# bf16 values in fp32: points that their size may be over half of that in bf16.
WIDENED_POINTS = 0.1
# Percent of the file that is saved, balanced.
QUANTISED_SAVED = {
    "SmolLM2-135M-Instruct, Q4_1 GGUF": 11.5,
    "fp8 e4m3, a scale a tensor": 18,
    "fp8 e5m2, unscaled": 30,
    "int4 symmetric, groups of 128 (GPTQ)": 16,
    "mxfp4": 6,
    "nvfp4": 6,
}
BF16_CASES = ("minilm.bf16", "crepe.bf16")
WIDE_CASES = ("minilm.fp16", "minilm.fp32", "crepe.fp32")
DECODE_OVER_ZIPNN = {"avx512": 3.5, "avx2": 2.4}
WIDE_DECODE_OVER_ZIPNN = 2.0
FAST_ENCODE_OVER_ZIPNN = 2.5
ENCODE_OVER_ZIPNN = 2.0
HIGH_DECODE_OVER_ZIPNN = 1.0
HIGH_ENCODE_OVER_PCODEC = 10.0
MAX_GB_PER_S = 0.020
TWO_THREADS = 1.7
# Two threads that reach this share of what a copy by two threads reaches are bound by memory.
MEMORY_BOUND = 0.8
START_UP_S = 0.020
MEMORY_MIB, MEMORY_MIB_PER_THREAD = 64, 16
# A command is bound by the disk or by the codec where it waits for nothing else: its wall time is near the larger of
# its own CPU time and of a copy of the file.
WALL_SLACK = 1.25


def judge(results: dict) -> list[Verdict]:
    cases = {name: CaseFigures(name, case) for name, case in results["cases"].items()}
    if not any("flyweight-archive" in case for case in cases.values()):
        return []
    sizes = [*_sizes(cases), *_widened(results, cases), *_scenarios(results), *_quantised(results), *_never(results)]
    speeds = [*_decode(results, cases), *_encode(cases), *_tiers(cases), *_threads(results)]
    patches = list(patch_targets.judge(results))
    return [*sizes, *speeds, *patches, *_wall(results), *_start_up(results), *_memory(results)]


def _at_most(what: str, wanted: float, measured: float) -> Verdict:
    return Verdict(what, f"<= {wanted}", f"{measured:.2f}", measured <= wanted)


def _times(what: str, wanted: float, ratio: float | None) -> Iterator[Verdict]:
    if ratio is not None:
        yield Verdict(what, f">= {wanted} x", f"{ratio:.2f} x", ratio >= wanted)


def _sizes(cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    for name, by_level in SIZE_PERCENT.items():
        for level, wanted in by_level.items():
            way = TIERS[level][0]
            if name in cases and way in cases[name]:
                yield _at_most(f"size of {name}, {level}, % of tensor bytes", wanted, cases[name].size(way))


def _widened(results: dict, cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    for row in results.get("quantised", []):
        if row["name"] == "bf16 values in fp32" and "minilm.bf16" in cases:
            size = 100 * row["codecs"][BALANCED] / row["tensor_bytes"]
            wanted = cases["minilm.bf16"].size("flyweight-archive") / 2 + WIDENED_POINTS
            yield _at_most("size of minilm.bf16 widened to fp32, balanced, % of tensor bytes", round(wanted, 2), size)


def _scenarios(results: dict) -> Iterator[Verdict]:
    for row in results.get("scenarios", []):
        ratio = row["bytes"] / row["codecs"][BALANCED]
        what = f"ratio of scenario {row['name']}, {row['dtype']}, balanced"
        yield Verdict(what, f">= {row['bar']:g}", f"{ratio:.4g}", ratio >= row["bar"])


def _quantised(results: dict) -> Iterator[Verdict]:
    for row in results.get("quantised", []):
        if row["name"] in QUANTISED_SAVED:
            wanted, saved = QUANTISED_SAVED[row["name"]], 100 - 100 * row["codecs"][BALANCED] / row["bytes"]
            yield Verdict(f"saved of {row['name']}, balanced, %", f">= {wanted}", f"{saved:.2f}", saved >= wanted)


def _never(results: dict) -> Iterator[Verdict]:
    for rule, (count, found) in excesses(results).items():
        yield Verdict(f"inputs where balanced is larger than {rule}", "none", f"{len(found)} of {count}", not found)


def _decode(results: dict, cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    native = "avx512" if "avx512_vbmi2" in results["machine"]["isa"] else "avx2"
    for isa, wanted in DECODE_OVER_ZIPNN.items():
        way = "flyweight-archive" if isa == native else f"flyweight-archive@{isa}"
        for name in BF16_CASES:
            ratio = cases[name].over_zipnn(way, "decode") if name in cases and way in cases[name] else None
            what = f"decode of {name} over ZipNN, balanced, {'AVX-512' if isa == 'avx512' else 'AVX2'}"
            yield from _times(what, wanted, ratio)
    for name in WIDE_CASES:
        if name in cases:
            ratio = cases[name].over_zipnn("flyweight-archive", "decode")
            yield from _times(f"decode of {name} over ZipNN, balanced", WIDE_DECODE_OVER_ZIPNN, ratio)


def _encode(cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    for level, wanted in (("fast", FAST_ENCODE_OVER_ZIPNN), ("balanced", ENCODE_OVER_ZIPNN)):
        way = TIERS[level][1]
        for name in BF16_CASES:
            if name in cases and way in cases[name]:
                ratio = cases[name].over_zipnn(way, "encode")
                yield from _times(f"encode of {name} over ZipNN, {level}", wanted, ratio)


def _tiers(cases: dict[str, CaseFigures]) -> Iterator[Verdict]:
    """What is wanted of high and max."""
    for name in BF16_CASES:
        case = cases.get(name)
        if case is not None and "flyweight-high" in case:
            ratio = case.over_zipnn("flyweight-high", "decode")
            yield from _times(f"decode of {name} over ZipNN, high", HIGH_DECODE_OVER_ZIPNN, ratio)
            if "pcodec-12" in case:
                ratio = case.speed("flyweight-high", "encode") / case.speed("pcodec-12", "encode")
                yield from _times(f"encode of {name} over pcodec 12, high", HIGH_ENCODE_OVER_PCODEC, ratio)
        if case is not None and "flyweight-max" in case:
            for verb in ("encode", "decode"):
                speed = case.speed("flyweight-max", verb)
                wanted, measured = f">= {1e3 * MAX_GB_PER_S:.0f} MB/s", f"{1e3 * speed:.0f} MB/s"
                yield Verdict(f"{verb} of {name}, max", wanted, measured, speed >= MAX_GB_PER_S)


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
