#!/usr/bin/env python3
"""Interrupts commands of flyweight at each of their system calls and checks what they leave behind.

Usage: tests/torture/crash_points.py [CASE...] [--program FLYWEIGHT] [--threads 1,2] [--actions kill,EIO,ENOSPC,EINTR]
                                     [--all-calls] [--every N] [--jobs N] [--directory DIR] [--list] [--verbose]

Each command runs once to count its calls, then once for each of them, killed at its entry (kill) or with that call
failing (EIO, ENOSPC, EINTR). Counted are the calls that could change a file or a name (--all-calls: all, for kill).
Then the invariants of the case must hold, and running the command again must succeed and leave no debris.
Ends in one line, "N points tried, N failures"; exit 0 = none, 1 = some, 2 = could not run.
"""

from __future__ import annotations

import argparse
import dataclasses
import errno
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import tracer
from crash_cases import CASES, Broken, Case, Workspace, require

ROOT = pathlib.Path(__file__).resolve().parents[2]
ACTIONS = {"kill": 0, "EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EINTR": errno.EINTR}
# How far a run with several threads may go beyond the calls that were counted once.
EXTRA_POINTS = 8


@dataclasses.dataclass(frozen=True)
class Point:
    case: str
    threads: int
    action: str
    at: int
    every_call: bool

    def fault(self) -> tracer.Fault:
        return tracer.Fault(self.at, ACTIONS[self.action], self.every_call)


@dataclasses.dataclass
class Trial:
    """The directories of one case: what it starts from, and how an uninterrupted run ends."""

    case: Case
    program: str
    root: pathlib.Path

    def start(self) -> pathlib.Path:
        return self.root / self.case.name / "start"

    def whole(self) -> Workspace:
        return Workspace(self.root / self.case.name / "whole", self.program)

    def prepare(self) -> None:
        self.start().mkdir(parents=True)
        self.case.prepare(Workspace(self.start(), self.program))
        shutil.copytree(self.start(), self.whole().path, symlinks=True)
        self.whole().must(*self.case.command)

    def command(self, threads: int) -> list[str]:
        return [self.program, *self.case.command, "-T", str(threads)]

    def count(self, point: Point) -> int:
        """The calls that a run has at which the fault could happen."""
        with tempfile.TemporaryDirectory(dir=self.root) as scratch:
            place = pathlib.Path(scratch) / "w"
            shutil.copytree(self.start(), place, symlinks=True)
            outcome = tracer.run(self.command(point.threads), place, dataclasses.replace(point.fault(), at=-1))
        require(outcome.code == 0, f"the command fails when it is only watched: {outcome.stderr}")
        return outcome.count

    def attempt(self, point: Point) -> tracer.Outcome:
        """Interrupts the command; raises Broken where something does not hold."""
        with tempfile.TemporaryDirectory(dir=self.root) as scratch:
            place = Workspace(pathlib.Path(scratch) / "w", self.program)
            shutil.copytree(self.start(), place.path, symlinks=True)
            outcome = tracer.run(self.command(point.threads), place.path, point.fault())
            require(not outcome.hung, f"it hangs after {point.action} at {outcome.call}")
            try:
                self.check(place, point, outcome)
            except Broken as broken:
                raise Broken(f"{outcome.call}: {broken} (exit {outcome.code}: {outcome.stderr.strip()})") from None
        return outcome

    def check(self, place: Workspace, point: Point, outcome: tracer.Outcome) -> None:
        if point.action == "kill":
            require(outcome.code == -9 or not outcome.reached, "it was not killed")
        else:
            require(outcome.code >= 0, "it died of a signal")
            require(
                outcome.code != 0 or place.names() == self.whole().names(), "it says it succeeded and did not finish"
            )
        self.case.holds(place, self.whole())
        finished = place.names() == self.whole().names()
        for number, again in enumerate(self.case.again):
            takes_name = "-o" in again and "-f" not in again
            if takes_name and (finished or os.path.lexists(place.path / again[again.index("-o") + 1])):
                continue  # the target is there, whole as holds() found, and stays
            if self.case.source and place.read(self.case.source) is None:
                continue
            copy = Workspace(place.path.parent / f"again{number}", self.program)
            shutil.copytree(place.path, copy.path, symlinks=True)
            copy.must(*again)
            require(copy.names() == self.whole().names(), f"after {' '.join(again)} there is {sorted(copy.names())}")
            for name in self.whole().names() - {self.case.varies}:
                same = not (copy.path / name).is_file() or copy.read(name) == self.whole().read(name)
                require(same, f"after {' '.join(again)} {name} is another than without the crash")
            if self.case.varies:
                copy.must("-t", self.case.varies)


_trials: dict[str, Trial] = {}


def _try_point(point: Point) -> tuple[Point, bool, str]:
    """The point, whether the run came so far, and what was wrong."""
    try:
        return point, _trials[point.case].attempt(point).reached, ""
    except Broken as broken:
        return point, True, str(broken)
    except Exception as error:  # a check that cannot run is a failure as well
        return point, True, f"{type(error).__name__}: {error}"


def plan(trial: Trial, arguments: argparse.Namespace) -> list[Point]:
    points = []
    for threads in arguments.threads:
        for action in arguments.actions:
            first = Point(trial.case.name, threads, action, 1, arguments.all_calls and action == "kill")
            count = trial.count(first) + (EXTRA_POINTS if threads > 1 else 0)
            points += [dataclasses.replace(first, at=at) for at in range(1, count + 1, arguments.every)]
    return points


def find_program() -> str:
    named = os.environ.get("FLYWEIGHT_BIN")
    places = ["build/dev/cli/flyweight", "build/release/cli/flyweight", ".venv/bin/flyweight"]
    found = [named] if named else [str(ROOT / place) for place in places if (ROOT / place).is_file()]
    if not found:
        raise SystemExit("no flyweight program: build it, or name it with --program")
    return str(pathlib.Path(max(found, key=lambda path: pathlib.Path(path).stat().st_mtime)).resolve())


def usable(cases: list[Case], program: str) -> list[Case]:
    """Those that this program has the words for."""
    place = Workspace(pathlib.Path("."), program)
    text = b"".join(place.run(*words).stdout for words in (["--help"], ["help", "compress"])).decode()
    for case in cases:
        if case.words not in text:
            print(f"{case.name}: left out, as this program's help does not have {case.words}")
    return [case for case in cases if case.words in text]


def try_cases(cases: list[Case], arguments: argparse.Namespace, root: pathlib.Path) -> tuple[int, int]:
    """Points tried, and failures."""
    tried = failures = 0
    points = []
    for case in cases:
        trial = _trials[case.name] = Trial(case, arguments.program, root)
        try:
            trial.prepare()
            points += plan(trial, arguments)
        except Broken as broken:
            if "in a later version" in str(broken):
                print(f"{case.name}: left out: {broken}")
                continue
            print(f"{case.name}: {broken}")
            tried, failures = tried + 1, failures + 1
    context = multiprocessing.get_context("fork")
    with context.Pool(arguments.jobs) as pool:
        for point, reached, problem in pool.imap_unordered(_try_point, points, chunksize=4):
            tried += reached
            failures += bool(problem)
            where = f"{point.case} -T {point.threads}, {point.action} at call {point.at}"
            if problem:
                print(f"{where}: {problem}", flush=True)
            elif arguments.verbose and reached:
                print(f"{where}: holds", flush=True)
    return tried, failures


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(usage=(__doc__ or "").split("Usage: ")[1].split("\n\n")[0])
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--program", default="")
    parser.add_argument("--threads", default="1,2", type=lambda text: [int(word) for word in text.split(",")])
    parser.add_argument("--actions", default=",".join(ACTIONS), type=lambda text: text.split(","))
    parser.add_argument("--all-calls", action="store_true")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--directory", default="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    if arguments.list:
        print("\n".join(case.name for case in CASES))
        return 0
    known = {case.name: case for case in CASES}
    unknown = [name for name in arguments.cases if name not in known] + [
        a for a in arguments.actions if a not in ACTIONS
    ]
    if unknown:
        print(f"unknown: {', '.join(unknown)}", file=sys.stderr)
        return 2
    arguments.program = str(pathlib.Path(arguments.program).resolve()) if arguments.program else find_program()
    if not tracer.CAN_FAIL_CALLS:
        arguments.actions = [action for action in arguments.actions if action == "kill"]
    cases = usable([known[name] for name in arguments.cases] or CASES, arguments.program)
    with tempfile.TemporaryDirectory(prefix="flyweight-crash-", dir=arguments.directory) as root:
        try:
            tried, failures = try_cases(cases, arguments, pathlib.Path(root))
        except (tracer.TraceError, PermissionError) as error:
            print(f"cannot trace here: {error}", file=sys.stderr)
            return 2
    print(f"{tried} points tried, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
