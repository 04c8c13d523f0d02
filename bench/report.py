"""Writes docs/results.md from the measured figures: `python -m bench.report RESULTS.json docs/results.md`."""

from __future__ import annotations

import json
import string
import sys
from pathlib import Path
from statistics import median

from bench import never, patch_tables, size_tables, targets
from bench.figures import LABELS, TIERS, CaseFigures, digits, scaling
from bench.markdown import NOT_MEASURED, table

TITLES = {"minilm": "all-MiniLM-L6-v2, a transformer", "crepe": "CREPE, a convolutional network"}
ISA_NAMES = {"avx512": "AVX-512", "avx2": "AVX2", "scalar": "no SIMD"}
OWN_WAYS = {"flyweight-archive": "archive", "flyweight-tensors": "tensors", "flyweight-sha256": "archive + SHA-256"}
QUICK_WARNING = "\n**A quick run, to see that the benchmark works. These figures are not to be quoted.**\n"


def write(results: dict) -> str:
    cases = [CaseFigures(name, case) for name, case in results["cases"].items()]
    template = string.Template(Path(__file__).with_name("results.template.md").read_text())
    return template.substitute(
        warning=QUICK_WARNING if results["quick"] else "",
        machine=_machine(results, cases),
        targets=_targets(results),
        peers="\n\n".join(_peers(case) for case in cases),
        scenarios=size_tables.scenarios(results),
        quantised=size_tables.quantised(results),
        checkpoints=size_tables.checkpoints(results),
        patch_date=results.get("patches", {}).get("date", results["machine"]["date"]),
        patch_checkpoints=patch_tables.checkpoints(results),
        patch_buffers=patch_tables.buffers(results),
        patch_near_lossless=patch_tables.near_lossless(results),
        patch_speeds=patch_tables.speeds(results),
        base_search=patch_tables.search(results),
        own_ways=_own_ways(results, cases),
        threads=_threads(results),
        start_up=_start_up(results),
        large_file=_large_file(results),
        hashes=_hashes(results),
        unhelpful=_unhelpful(results),
        never=_never(results),
        beaten=_beaten(results),
        settings=_settings(results),
    )


def _native_isa(results: dict) -> str:
    return ISA_NAMES["avx512" if "avx512_vbmi2" in results["machine"]["isa"] else "avx2"]


def _machine(results: dict, cases: list[CaseFigures]) -> str:
    machine = results["machine"]
    copying = median(case.speed("memcpy", "decode") for case in cases)
    load = f"load average before: {machine['load_before']}"
    facts = {
        "date": machine["date"],
        "processor": f"{machine['cpu']} ({machine['cpu_model']}), {machine['cpus']} CPUs, {machine['cache']}",
        "instruction sets": ", ".join(machine["isa"]),
        "memcpy, one core, warm": f"{copying:.1f} GB/s",
        "memory": f"{machine['memory_gib']} GiB",
        "system": f"{machine['system']}, Python {machine['python']}",
        "versions": ", ".join(f"{name} {version}" for name, version in machine["versions"].items()),
        "run": f"{results['rounds']} rounds after 2 to warm up, {results['elapsed_s'] / 60:.0f} minutes, {load}",
    }
    return table(["", ""], [[name, fact] for name, fact in facts.items()], right=False)


def _targets(results: dict) -> str:
    verdicts = targets.judge(results)
    if not verdicts:
        return NOT_MEASURED
    missed = [verdict for verdict in verdicts if not verdict.reached]
    if missed:
        count = f"{len(verdicts) - len(missed)} of {len(verdicts)}"
        lines = [f"- {verdict.what}: {verdict.measured}, wanted {verdict.wanted}" for verdict in missed]
        summary = "\n".join([f"{count} reached. **Missed:**", "", *lines])
    else:
        summary = f"All {len(verdicts)} reached."
    rows = [[v.what, v.wanted, v.measured, "reached" if v.reached else "**missed**"] for v in verdicts]
    return summary + "\n\n" + table(["target", "wanted", "measured", ""], rows)


def _peers(case: CaseFigures) -> str:
    model, dtype = case.name.split(".")
    rows = [_flyweight_row(case, level) for level, ways in TIERS.items() if all(way in case for way in ways)]
    rows += [_peer_row(case, way) for way in LABELS if way in case]
    header = ["codec", "size %", "encode GB/s", "decode GB/s", "x ZipNN", "x memcpy"]
    title = f"### {case.name}: {TITLES[model]}, {dtype}, {case.bytes:,} bytes"
    return title + "\n\n" + table(header, rows)


def _peer_row(case: CaseFigures, way: str) -> list[str]:
    speeds = [_speed(case, way, verb) for verb in ("encode", "decode")]
    return [LABELS[way], f"{case.size(way):.2f}", *speeds, *_decode_ratios(case, way)]


def _flyweight_row(case: CaseFigures, level: str) -> list[str]:
    whole, tensors = TIERS[level]
    speeds = [_speed(case, tensors, "encode"), _speed(case, whole, "decode")]
    figures = [f"{case.size(whole):.2f}", *speeds, *_decode_ratios(case, whole)]
    return [f"**{cell}**" for cell in (f"flyweight, {level}", *figures)]


def _speed(case: CaseFigures, way: str, verb: str) -> str:
    once = len(case.seconds(way, verb)) == 1
    return f"{digits(case.speed(way, verb))} ({'once' if once else digits(case.best(way, verb))})"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _decode_ratios(case: CaseFigures, way: str) -> list[str]:
    return [_ratio(case.over_zipnn(way, "decode")), _ratio(case.ratio(way, "memcpy", "decode"))]


def _own_ways(results: dict, cases: list[CaseFigures]) -> str:
    rows = []
    for case in cases:
        for way in [way for way in case.codecs if way.partition("@")[0] in OWN_WAYS]:
            base, _, isa = way.partition("@")
            speeds = [digits(case.speed(way, verb)) for verb in ("encode", "decode")]
            over_zipnn = ", ".join(_ratio(case.over_zipnn(way, verb)) for verb in ("encode", "decode"))
            over_memcpy = _ratio(case.ratio(way, "memcpy", "decode"))
            name = f"{case.name}, {OWN_WAYS[base]}, {ISA_NAMES.get(isa, _native_isa(results))}"
            rows.append([name, f"{case.size(way):.2f}", *speeds, over_zipnn, over_memcpy])
    if not rows:
        return NOT_MEASURED
    return table(["way", "size %", "encode GB/s", "decode GB/s", "x ZipNN", "decode x memcpy"], rows)


def _threads(results: dict) -> str:
    rows = []
    for name, threads in results.get("threads", {}).items():
        for task, seconds in threads["seconds"].items():
            speeds = [f"{threads['bytes'] / median(seconds[count]) / 1e9:.2f}" for count in ("1", "2")]
            rows.append([f"{name}, {task}", *speeds, f"{scaling(threads, task):.2f}"])
    return table(["", "1 thread, GB/s", "2 threads, GB/s", "factor"], rows) if rows else NOT_MEASURED


def _start_up(results: dict) -> str:
    if "start_up" not in results:
        return ""
    own, nothing = (1e3 * median(results["start_up"][name]) for name in ("flyweight", "true"))
    return f"`flyweight --version` takes {own:.1f} ms, median of 20 (`true` takes {nothing:.1f} ms)."


def _large_file(results: dict) -> str:
    large = results.get("large_file", {"skipped": "left out of this run"})
    if "skipped" in large:
        return f"Not measured: {large['skipped']}."
    size = large["file_bytes"]
    text = f"Of the file's {size:,} bytes flyweight's archive has {100 * large['archive_bytes'] / size:.2f} %"
    text += f", zstd -3's {100 * large['zstd_bytes'] / size:.2f} %." if large["zstd_bytes"] else "."
    rows = []
    for name, runs in large["runs"].items():
        walls, cpu_s = [run["wall_s"] for run in runs], median(run["cpu_s"] for run in runs)
        peak = f"{max(run['peak_kib'] for run in runs) / 1024:.0f}"
        wall = f"{median(walls):.2f} ({min(walls):.2f})"
        rows.append([f"`{name}`", wall, f"{cpu_s:.2f}", f"{size / median(walls) / 1e9:.2f}", peak])
    header = ["command", "wall s, median (best)", "CPU s", "GB/s of the file", "peak MiB"]
    return text + "\n\n" + table(header, rows)


def _hashes(results: dict) -> str:
    hashes = results["hashes"]
    speeds = {name: hashes["bytes"] / median(seconds) / 1e9 for name, seconds in hashes["seconds"].items()}
    return f"On one core SHA-256 runs at {speeds['sha256']:.2f} GB/s and XXH3 at {speeds['xxh3']:.1f} GB/s."


def _unhelpful(results: dict) -> str:
    columns = ("bytes", "flyweight", "zstd-3", "zstd-19")
    rows = [[row["name"], *(f"{row[key]:,}" for key in columns)] for row in results.get("unhelpful", [])]
    return table(["input", "as it is", "flyweight", "zstd -3", "zstd -19"], rows) if rows else NOT_MEASURED


def _never(results: dict) -> str:
    lines = []
    for rule, (count, found) in never.excesses(results).items():
        verdict = "not once" if not found else f"{len(found)} times"
        lines.append(f"- larger than {rule}: **{verdict}** in {count} inputs{'.' if not found else ':'}")
        lines += [f"  - {one.name}: {one.over:,} bytes{_share(one.over, one.input_bytes)}" for one in found]
    return "\n".join(lines) if lines else NOT_MEASURED


def _share(part: int, whole: int) -> str:
    """Where percents say something: not of a tiny input."""
    return f", {100 * part / whole:.3f} % of the input" if part < whole else ""


def _beaten(results: dict) -> str:
    if not never.inputs(results):
        return ""
    found, hardly = never.beaten(results), never.hardly_smaller(results)
    text = "On no input of this run another codec was smaller."
    if found:
        header = ["input", "bytes", "flyweight, balanced", "its smallest level", "smaller", "its bytes"]
        rows = [
            [
                one.input.name,
                *(f"{size:,}" for size in (one.input.bytes, one.input.balanced, one.own_best)),
                one.peer,
                f"{one.peer_bytes:,}",
            ]
            for one in found
        ]
        text = "Inputs on which another codec was smaller than flyweight's default level:\n\n" + table(header, rows)
    names = "; ".join(one.name for one in hardly)
    return text + (
        f"\n\nLess than {100 * never.HARDLY:.0f} % is saved, balanced, or nothing, of: {names}." if names else ""
    )


def _settings(results: dict) -> str:
    """A line a codec; where the setting depends on the dtype, each with its dtypes."""
    seen: dict[str, dict[str, list[str]]] = {}
    for name, case in results["cases"].items():
        for way, codec in case["codecs"].items():
            if way in LABELS:
                seen.setdefault(way, {}).setdefault(codec["settings"], []).append(name.split(".")[1])
    lines = []
    for way, settings in seen.items():
        texts = [f"{' and '.join(dict.fromkeys(dtypes))}: {text}" for text, dtypes in settings.items()]
        lines.append(f"  - {LABELS[way]}: " + (next(iter(settings)) if len(settings) == 1 else "; ".join(texts)))
    return "\n".join(lines)


def main() -> int:
    results = json.loads(Path(sys.argv[1]).read_text())
    Path(sys.argv[2]).write_text(write(results))
    for verdict in targets.judge(results):
        outcome = "reached" if verdict.reached else "MISSED "
        print(f"  {outcome}  {verdict.what}: {verdict.measured} (wanted {verdict.wanted})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
