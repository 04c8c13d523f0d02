"""The tables of patches: checkpoints, pairs of buffers, near-lossless, speed."""

from __future__ import annotations

from statistics import median

from bench.figures import CaseFigures, digits
from bench.markdown import NOT_MEASURED, table

OWN = "flyweight-balanced"
OWN_LEVELS = (OWN, "flyweight-high")
TITLES = {
    OWN: "balanced",
    "flyweight-high": "high",
    "bitx": "BitX",
    "bigsmall": "bigsmall",
    "z4ai": "z4ai",
    "zstd-1": "XOR, zstd -1",
}
WAYS = {
    "memcpy": "memcpy",
    "zstd-xor": "XOR, zstd -1",
    "flyweight-patch": "flyweight, into a copy",
    "flyweight-patch@avx2": "flyweight, into a copy, AVX2",
    "flyweight-patch-in-place": "flyweight, in place",
    "flyweight-patch-in-place@avx2": "flyweight, in place, AVX2",
}


def checkpoints(results: dict) -> str:
    rows = results.get("patches", {}).get("checkpoints", [])
    if not rows:
        return NOT_MEASURED
    columns = [column for column in TITLES if column in rows[0]["codecs"]]
    lines = []
    for row in rows:
        codecs, own = row["codecs"], row["codecs"][OWN]
        sizes = [_bold(c, f"{100 * codecs[c] / row['bytes']:.2f}" if c in codecs else "-") for c in columns]
        shares = [f"{own / codecs[peer]:.3f}" if peer in codecs else "-" for peer in ("bitx", "bigsmall")]
        ratios = [f"{row['bytes'] / own:.1f}", *shares]
        lines.append([f"{row['run']}, {row['dtype']}, {row['first']} to {row['last']}", *sizes, *ratios])
    titles = [f"{TITLES[column]} %" for column in columns]
    return table(["run, dtype, steps", *titles, "ratio", "of BitX", "of bigsmall"], lines)


def buffers(results: dict) -> str:
    rows = results.get("patches", {}).get("buffers", [])
    if not rows:
        return NOT_MEASURED
    columns = [column for column in TITLES if column in rows[0]["codecs"]]
    lines = []
    for row in rows:
        ratios = [_bold(column, f"{row['bytes'] / row['codecs'][column]:.4g}") for column in columns]
        known = ["-" if row[key] is None else f"{row[key]:.4g}" for key in ("bound", "published")]
        lines.append([f"{row['name']}, {row['dtype']}", *known, *ratios])
    return table(["pair", "bound", "z4ai, published", *(TITLES[column] for column in columns)], lines)


def near_lossless(results: dict) -> str:
    rows = results.get("patches", {}).get("near_lossless", [])
    lines = [
        [f"{row['codec']}, {row['setting']}", f"{row['bytes']:,}", f"{row['error']:.4f}", f"{row['worst_tensor']:.3f}"]
        for row in rows
    ]
    return table(["", "bytes", "relative error", "worst tensor"], lines) if lines else NOT_MEASURED


def speeds(results: dict) -> str:
    lines = []
    for name, case in results.get("patch_speeds", {}).items():
        figures = CaseFigures(name, case)
        for way in [way for way in WAYS if way in figures]:
            encode, decode = (digits(figures.speed(way, verb)) for verb in ("encode", "decode"))
            ratio = figures.ratio(way, "memcpy", "decode")
            of_memcpy = "-" if ratio is None else f"{ratio:.2f}"
            lines.append([f"{name}: {WAYS[way]}", f"{figures.size(way):.2f}", encode, decode, of_memcpy])
    return table(["", "size %", "encode GB/s", "apply GB/s", "x memcpy"], lines) if lines else NOT_MEASURED


def search(results: dict) -> str:
    found = results.get("base_search")
    if not found:
        return NOT_MEASURED
    seconds = median(found["seconds"])
    return f"{found['candidates']:,} candidates in {seconds:.2f} s: {found['candidates'] / seconds:,.0f} a second."


def _bold(column: str, text: str) -> str:
    return f"**{text}**" if column == OWN else text
