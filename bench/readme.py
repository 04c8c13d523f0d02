"""Writes the table of figures in README.md, between its marks: `python -m bench.readme RESULTS.json README.md`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from bench.figures import TIERS, CaseFigures, digits
from bench.markdown import table

MODELS = {"minilm": "all-MiniLM-L6-v2", "crepe": "CREPE"}
NEEDED = {"flyweight-archive", "flyweight-tensors", "zipnn", "zstd-3"}
# The table between the marks; what else stands there is kept.
TABLE = re.compile(r"(<!-- results -->\n)(?:\|.*\n)+")


def figures(results: dict) -> str:
    cases = [CaseFigures(name, case) for name, case in results["cases"].items()]
    levels = [level for level, ways in TIERS.items() if all(way in case for case in cases for way in ways)]
    rows = []
    for case in cases:
        model, dtype = case.name.split(".")
        own = [_three(case, *TIERS[level], bold=level == "balanced") for level in levels]
        rows.append(
            [f"{MODELS[model]}, {dtype}", *own, _three(case, "zipnn", "zipnn"), _three(case, "zstd-3", "zstd-3")]
        )
    machine = results["machine"]
    isa = "AVX-512" if "avx512_vbmi2" in machine["isa"] else "AVX2"
    return table([f"one core ({machine['cpu']}, {isa})", *levels, "ZipNN", "zstd -3"], rows)


def _three(case: CaseFigures, whole: str, encoder: str, bold: bool = False) -> str:
    """Size in %, then encoding and decoding in GB/s."""
    size = f"{case.size(whole):.2f}"
    speeds = [digits(case.speed(encoder, "encode")), digits(case.speed(whole, "decode"))]
    return ", ".join([f"**{size}**" if bold else size, *speeds])


def main() -> int:
    results, readme = json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
    complete = all(case["codecs"].keys() >= NEEDED for case in results["cases"].values())
    if results["quick"] or not complete:
        print("README.md: left as it is, as the run left something out", file=sys.stderr)
        return 0
    text = readme.read_text()
    replaced, count = TABLE.subn(lambda match: match.group(1) + figures(results) + "\n", text)
    if count != 1:
        print("README.md: has no table between its marks", file=sys.stderr)
        return 1
    readme.write_text(replaced)
    return 0


if __name__ == "__main__":
    sys.exit(main())
