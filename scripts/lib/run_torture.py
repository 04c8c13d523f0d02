"""Runs the parts of scripts/torture named on the command line and prints what each of them found."""

from __future__ import annotations

import argparse
import os
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "torture"
FUZZ_BUILD = ROOT / "build" / "fuzz"
LOGS = ROOT / "build" / "logs"
SCALE = float(os.environ.get("FLYWEIGHT_TORTURE_SCALE", "1"))


def scaled(count: int) -> str:
    return str(max(1, round(count * SCALE)))


def run(name: str, command: list[str], environment: dict[str, str] | None = None) -> tuple[bool, str]:
    """Runs a command with its output in build/logs; returns whether it succeeded, and what it printed."""
    LOGS.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"torture-{name}.log"
    with open(log, "wb") as out:
        status = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **(environment or {})}, stdout=out, stderr=subprocess.STDOUT
        ).returncode
    text = log.read_text("utf-8", "replace")
    if status != 0:
        print("".join(f"    | {line}\n" for line in text.splitlines()[-30:]) + f"    the whole log: {log}")
    return status == 0, text


def build(name: str, configure: list[str], directory: pathlib.Path, targets: list[str]) -> bool:
    fine, _ = run(f"{name}-configure", ["cmake", *configure])
    arguments = [word for target in targets for word in ("--target", target)]
    return fine and run(f"{name}-build", ["cmake", "--build", str(directory), *arguments])[0]


def build_tests(*targets: str) -> bool:
    options = ["-DCMAKE_BUILD_TYPE=Release", "-DFLYWEIGHT_BUILD_CLI=OFF", "-DFLYWEIGHT_BUILD_PYTHON=OFF"]
    return build("tests", ["-S", ".", "-B", str(BUILD), "-G", "Ninja", *options], BUILD, list(targets))


def find(directory: pathlib.Path, name: str) -> str:
    found = [path for path in directory.rglob(name) if path.is_file()]
    if not found:
        raise SystemExit(f"{name} was not built")
    return str(found[0])


def last_line(text: str, mark: str) -> str:
    lines = [line for line in text.splitlines() if mark in line]
    return lines[-1].strip() if lines else "it printed no figures"


def test_part(name: str, target: str, pattern: str, variable: str, count: int, mark: str) -> bool:
    if not build_tests(target):
        return False
    program = find(BUILD, target)
    fine, text = run(name, [program, f"--gtest_filter={pattern}"], {variable: scaled(count)})
    print(f"  {last_line(text, mark)}")
    return fine


def parity() -> bool:
    print(f"  {scaled(10_000)} trials a test: within 5 %, beyond it, any damage")
    return test_part("parity", "flyweight_archive_test", "ParityTrials.*", "FLYWEIGHT_PARITY_TRIALS", 10_000, "PASSED")


def flips() -> bool:
    name = "flyweight_torture_bit_flips_test"
    return test_part("flips", name, "*", "FLYWEIGHT_BIT_FLIPS", 100_000, "bits flipped")


def mutated() -> bool:
    name = "flyweight_torture_mutated_files_test"
    return test_part("mutated", name, "*", "FLYWEIGHT_MUTATED_FILES", 50, "byte for byte")


def crash() -> bool:
    command = [sys.executable, "tests/torture/crash_points.py", "--program", str(ROOT / ".venv/bin/flyweight")]
    if SCALE < 1:
        command += ["--every", str(round(1 / SCALE))]
    fine, text = run("crash", command)
    print(f"  {last_line(text, 'points tried')}")
    return fine


def fuzz() -> bool:
    seconds = os.environ.get("FLYWEIGHT_FUZZ_SECONDS", scaled(600))
    configure = ["--preset", "fuzz"]
    if not build("fuzz", configure, FUZZ_BUILD, ["all"]):
        return False
    fine = True
    for corpus in sorted(path for path in (ROOT / "fuzz/corpus").iterdir() if path.is_dir()):
        target = find(FUZZ_BUILD, f"{corpus.name}_fuzz")
        # New inputs go to a folder of their own, so that the committed corpus stays small.
        found = BUILD / "found" / corpus.name
        found.mkdir(parents=True, exist_ok=True)
        command = [target, f"-max_total_time={seconds}", "-print_final_stats=1", "-rss_limit_mb=4096"]
        good, text = run(f"fuzz-{corpus.name}", [*command, str(found), str(corpus)])
        runs = last_line(text, "number_of_executed_units").rpartition(":")[2].strip()
        print(f"  {corpus.name}: {runs} runs in {seconds} s, {'clean' if good else 'FOUND SOMETHING'}", flush=True)
        fine &= good
    return fine


PARTS = {"parity": parity, "flips": flips, "mutated": mutated, "crash": crash, "fuzz": fuzz}


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/torture", description="Tries to break flyweight.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default")
    arguments = parser.parse_args()
    unknown = [part for part in arguments.parts if part not in PARTS]
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)} (there are {', '.join(PARTS)})")
    failed = []
    for part in arguments.parts or PARTS:
        start = time.monotonic()
        print(f"{part}", flush=True)
        held = PARTS[part]()
        print(f"  {'held' if held else 'FAILED'} after {time.monotonic() - start:.0f} s", flush=True)
        if not held:
            failed.append(part)
    print(f"failed: {', '.join(failed)}" if failed else "everything held")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
