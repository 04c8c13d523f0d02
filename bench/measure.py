"""Measures everything and writes the figures as JSON; scripts/bench calls it."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench import (
    base_search,
    command_line,
    corpus,
    exponents,
    fine_tunes,
    hashes,
    levels,
    machine,
    rounds,
    threads,
    unhelpful,
)
from bench.worker import Worker, WorkerFailed

FULL = {"rounds": 5, "thread_rounds": 5, "file_rounds": 2}
QUICK = {"rounds": 2, "thread_rounds": 3, "file_rounds": 1}
THREAD_CASES = ("minilm.bf16", "crepe.bf16")
# Tables of sizes alone, each measured by the module of that name in a process of its own.
TABLES = ("scenarios", "quantised", "checkpoints", "patches")
SLOW_PEERS = ("zstd-19", "pcodec-12", "bigsmall", "z4ai")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.measure")
    parser.add_argument("--work", type=Path, required=True, help="folder for the corpus and temporary files")
    parser.add_argument("--output", type=Path, required=True, help="the JSON file to write")
    parser.add_argument(
        "--command", default="", help="the flyweight command; without it only what Python can reach is measured"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works")
    parser.add_argument("--peers-only", action="store_true", help="leave flyweight out")
    parser.add_argument("--cases", nargs="+", default=list(corpus.CASES), choices=corpus.CASES)
    parser.add_argument("--update", action="store_true", help="measure only patches; the rest is of the last run")
    parser.add_argument(
        "--skip", nargs="+", default=[], choices=(*SLOW_PEERS, "file", *TABLES), help="leave out what is slow"
    )
    arguments = parser.parse_args()
    begin = time.monotonic()
    folder = arguments.work / "corpus"
    corpus.build(folder)
    try:
        results = _update(arguments, folder) if arguments.update else _measure(arguments, folder)
    except (WorkerFailed, subprocess.CalledProcessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    if not arguments.update:
        results["elapsed_s"] = round(time.monotonic() - begin)
    part = arguments.output.with_suffix(".part")
    part.write_text(json.dumps(results, indent=1) + "\n")
    part.replace(arguments.output)
    return 0


def _measure(arguments: argparse.Namespace, folder: Path) -> dict:
    effort = QUICK if arguments.quick else FULL
    with_flyweight = not arguments.peers_only and importlib.util.find_spec("flyweight") is not None
    results: dict = {"machine": machine.describe(), "quick": arguments.quick, **effort, "cases": {}}
    entrants = [rounds.Entrant("memcpy", "memcpy")]
    if with_flyweight:
        isas = _forced_isas(folder)
        results["isas"] = isas
        tiers = levels.known()
        results["levels"] = tiers
        entrants += rounds.flyweights(isas, tiers)
    entrants += [peer for peer in rounds.PEERS if peer.label not in arguments.skip]
    for case in arguments.cases:
        results["cases"][case] = rounds.measure(folder, case, entrants, effort["rounds"])
    if with_flyweight and "patches" not in arguments.skip:
        results |= _patch_speeds(folder, isas, effort["rounds"])
    results["exponents"] = exponents.measure(folder)
    results["hashes"] = hashes.measure(folder, effort["rounds"])
    if with_flyweight and len(os.sched_getaffinity(0)) > 1:
        results["threads"] = {case: threads.measure(folder, case, effort["thread_rounds"]) for case in THREAD_CASES}
    if with_flyweight and arguments.command:
        scratch = arguments.work / "scratch"
        results["unhelpful"] = unhelpful.measure(folder, scratch, arguments.command)
        results["start_up"] = command_line.start_up(arguments.command)
        results["base_search"] = base_search.measure(scratch, arguments.command, effort["rounds"])
        for table in TABLES:
            if table not in arguments.skip:
                results[table] = _table(table, folder, arguments, results["levels"])
        if "file" not in arguments.skip:
            results["large_file"] = command_line.measure(folder, scratch, arguments.command, effort["file_rounds"])
    return results


def _update(arguments: argparse.Namespace, folder: Path) -> dict:
    """The last run's results with what belongs to patches measured anew."""
    results = json.loads(arguments.output.read_text())
    results |= _patch_speeds(folder, results["isas"], (QUICK if arguments.quick else FULL)["rounds"])
    results["patches"] = _table("patches", folder, arguments, results["levels"])
    if arguments.command:
        rounds_of_search = (QUICK if arguments.quick else FULL)["rounds"]
        results["base_search"] = base_search.measure(arguments.work / "scratch", arguments.command, rounds_of_search)
    results["patches"]["date"] = machine.describe()["date"]
    return results


def _patch_speeds(folder: Path, isas: list[str], round_count: int) -> dict:
    fine_tunes.build(folder)
    entrants = rounds.patches(isas)
    speeds = {
        title: rounds.measure(folder, case, entrants, round_count) for case, title in fine_tunes.SPEED_CASES.items()
    }
    return {"patch_speeds": speeds}


def _table(name: str, folder: Path, arguments: argparse.Namespace, tiers: list[str]) -> Any:
    command = [sys.executable, "-m", f"bench.{name}", str(folder), arguments.command, ",".join(tiers)]
    command += ["--quick"] if arguments.quick else []
    # Results are the last line: libraries print too.
    answer = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
    return json.loads(answer.splitlines()[-1])


def _forced_isas(folder: Path) -> list[str]:
    """The instruction sets below the best one that this processor can be held to."""
    flags = set(machine.describe()["isa"])
    candidates = ["avx2", "scalar"] if "avx512_vbmi2" in flags else ["scalar"]
    working = []
    for isa in candidates:
        try:
            Worker(
                "flyweight-tensors", folder, "minilm.bf16", max(os.sched_getaffinity(0)), {"FLYWEIGHT_ISA": isa}
            ).close()
            working.append(isa)
        except WorkerFailed as error:
            print(f"bench: without {isa}: {error}", file=sys.stderr)
    return working


if __name__ == "__main__":
    sys.exit(main())
