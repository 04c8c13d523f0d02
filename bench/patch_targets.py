"""What flyweight set out to reach with patches."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from bench.figures import CaseFigures
from bench.patch_tables import OWN
from bench.verdict import Verdict

# Of BitX's bytes by the last step, and of bigsmall's, from step 0, bf16.
OF_BITX = {30: 0.53, 300: 0.66}
OF_BIGSMALL = {("bf16", 30): 0.53, ("fp32", 30): 0.60, ("fp32", 300): 0.60}
CONSECUTIVE_RATIO = {"bf16": 27.0, "fp32": 4.1}
ONE_PERCENT_OF_ZSTD = 0.45
OVER_ENTROPY = 0.02
# Largest bytes at a relative error.
LOSSY_BYTES = {0.10: 4_800_000, 0.074: 5_400_000, 0.50: 1_850_000}
# MB/s of result: encode, apply.
SPEEDS = {"bf16": (500, 2200), "bf16@avx2": (350, 1600), "fp32": (250, 1000)}
IN_PLACE_OF_MEMCPY = 0.6
CANDIDATES_PER_S = 1000


def judge(results: dict) -> Iterator[Verdict]:
    patches = results.get("patches", {})
    for row in patches.get("checkpoints", []):
        yield from _checkpoint(row)
    for row in patches.get("buffers", []):
        yield from _buffer(row)
    yield from _near_lossless(patches.get("near_lossless", []))
    yield from _speeds(results)
    if "base_search" in results:
        speed = results["base_search"]["candidates"] / median(results["base_search"]["seconds"])
        yield Verdict("base search, candidates/s", f">= {CANDIDATES_PER_S}", f"{speed:.0f}", speed >= CANDIDATES_PER_S)


def _checkpoint(row: dict) -> Iterator[Verdict]:
    own, codecs, last = row["codecs"][OWN], row["codecs"], row["last"]
    what = f"patch of {row['run']} run, {row['dtype']}, steps {row['first']} to {last}"
    if row["first"] == 0:
        if row["dtype"] == "bf16":
            yield _share(f"{what}, of BitX", own / codecs["bitx"], OF_BITX[last])
        wanted = OF_BIGSMALL.get((row["dtype"], last))
        if wanted is not None:
            yield _share(f"{what}, of bigsmall", own / codecs["bigsmall"], wanted)
    elif last == 30:
        ratio, wanted = row["bytes"] / own, CONSECUTIVE_RATIO[row["dtype"]]
        yield Verdict(f"{what}, ratio", f">= {wanted:g}", f"{ratio:.1f}", ratio >= wanted)


def _share(what: str, share: float, wanted: float) -> Verdict:
    return Verdict(what, f"<= {wanted:g}", f"{share:.3f}", share <= wanted)


def _buffer(row: dict) -> Iterator[Verdict]:
    own, what = row["codecs"][OWN], f"patch, {row['name']}, {row['dtype']}"
    if row["published"] is None:
        yield _share(f"{what}, of zstd -1 over the XOR", own / row["codecs"]["zstd-1"], ONE_PERCENT_OF_ZSTD)
        return
    ratio = row["bytes"] / own
    theirs = row["bytes"] / row["codecs"]["z4ai"]
    yield Verdict(f"{what}, ratio, beside z4ai", f">= {theirs:.4g}", f"{ratio:.4g}", ratio >= theirs)
    if row["bound"] is not None:
        wanted = row["bound"] / (1 + OVER_ENTROPY)
        yield Verdict(f"{what}, ratio, within 2 % of the entropy", f">= {wanted:.4g}", f"{ratio:.4g}", ratio >= wanted)


def _near_lossless(rows: list[dict]) -> Iterator[Verdict]:
    for error, wanted in LOSSY_BYTES.items():
        fitting = [row["bytes"] for row in rows if row["codec"] == "flyweight" and row["error"] <= error]
        if fitting:
            what, found = f"near-lossless at a relative error of {error:g}, bytes", min(fitting)
            yield Verdict(what, f"<= {wanted:,}", f"{found:,}", found <= wanted)


def _speeds(results: dict) -> Iterator[Verdict]:
    for name, case in results.get("patch_speeds", {}).items():
        figures = CaseFigures(name, case)
        if "1 %" in name:
            ratio = figures.ratio("flyweight-patch-in-place", "memcpy", "decode")
            if ratio is not None:
                what = f"apply in place, {name}, of memcpy"
                yield Verdict(what, f">= {IN_PLACE_OF_MEMCPY}", f"{ratio:.2f}", ratio >= IN_PLACE_OF_MEMCPY)
            continue
        dtype = "bf16" if "bf16" in name else "fp32"
        for way in ("flyweight-patch", "flyweight-patch@avx2"):
            wanted = SPEEDS.get(dtype + way.removeprefix("flyweight-patch"))
            if wanted is not None and way in figures:
                for verb, bar in zip(("encode", "decode"), wanted, strict=True):
                    speed = 1e3 * figures.speed(way, verb)
                    doing = "apply" if verb == "decode" else verb
                    what = f"{doing} of a patch, {name}, {way.partition('@')[2] or 'native'}"
                    yield Verdict(what, f">= {bar} MB/s", f"{speed:.0f} MB/s", speed >= bar)
