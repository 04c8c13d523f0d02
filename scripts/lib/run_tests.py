"""Runs the test suites named on the command line (all by default), a line a suite, and ends in `N passed, N failed`.

Called by scripts/test, after scripts/setup. What a suite prints is in build/logs and is shown where it failed.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from xml.etree import ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[2]
LOGS = ROOT / "build" / "logs"
TAIL_LINES = 80
TIMEOUT_S = 1800


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: Count) -> Count:
        return Count(self.passed + other.passed, self.failed + other.failed, self.skipped + other.skipped)

    def __str__(self) -> str:
        tail = f", {self.skipped} skipped" if self.skipped else ""
        return f"{self.passed} passed, {self.failed} failed{tail}"


def show_tail(log: pathlib.Path) -> None:
    lines = log.read_text("utf-8", "replace").splitlines()
    print("\n".join(f"    | {line}" for line in lines[-TAIL_LINES:]))
    print(f"    the whole log: {log.relative_to(ROOT)}")


def run_logged(name: str, command: list[str], environment: dict[str, str] | None = None) -> int:
    """Runs a command with its output in build/logs/NAME.log; returns its exit status, 124 where it took too long."""
    full_environment = {**os.environ, **(environment or {})}
    with open(LOGS / f"{name}.log", "wb") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=full_environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(TIMEOUT_S)
        except BaseException as error:
            # Its children too: an interrupted build or a test that hangs must not go on alone.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            log.write(f"\ntook more than {TIMEOUT_S} s and was ended\n".encode())
            return 124


def run_one(name: str, label: str, command: list[str], environment: dict[str, str] | None = None) -> Count:
    """A command that passes or fails as a whole; counts as one test."""
    print(f"  {label:<64}", end="", flush=True)
    start = time.monotonic()
    status = run_logged(name, command, environment)
    print(f"{'ok' if status == 0 else 'FAILED':>6} {time.monotonic() - start:6.0f} s", flush=True)
    if status == 0:
        return Count(passed=1)
    show_tail(LOGS / f"{name}.log")
    return Count(failed=1)


def read_junit(path: pathlib.Path) -> tuple[Count, list[str]]:
    """Counts the cases of a JUnit file and names those that failed."""
    # Cases, not the summary's attributes, which every tool writes differently.
    count, failures = Count(), []
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None or case.get("status") == "fail":
            count.failed += 1
            failures.append(f"{case.get('classname')}.{case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            count.skipped += 1
        else:
            count.passed += 1
    return count, failures


def run_many(name: str, label: str, command: list[str], environment: dict[str, str] | None = None) -> Count:
    """A command that writes a JUnit file where "{junit}" in it says. Running no test at all is a failure."""
    junit = LOGS / f"{name}.xml"
    junit.unlink(missing_ok=True)
    print(f"  {label:<64}", end="", flush=True)
    start = time.monotonic()
    status = run_logged(name, [part.replace("{junit}", str(junit)) for part in command], environment)
    count, failures = read_junit(junit) if junit.exists() else (Count(), [])
    if count.failed == 0 and (status != 0 or count.passed == 0):
        count.failed = 1
        failures.append(f"{name}: " + (f"ended with status {status}" if status else "ran no test"))
    print(f"{'ok' if count.failed == 0 else 'FAILED':>6} {time.monotonic() - start:6.0f} s   {count}", flush=True)
    if count.failed:
        show_tail(LOGS / f"{name}.log")
        print("".join(f"    failed: {failure}\n" for failure in failures[:50]), end="")
    return count


def run_checks(_: argparse.Namespace) -> Count:
    python = sys.executable
    count = Count()
    for check in ("layers", "spec", "style", "readme"):
        count += run_one(f"check-{check}", f"tools/check_{check}.py", [python, f"tools/check_{check}.py"])
    count += run_one("mypy", "mypy --strict", [python, "-m", "mypy", "--strict", "python/flyweight"])
    count += run_one(
        "ruff",
        "ruff",
        [python, "-m", "ruff", "check", "--output-format=concise", "python", "tests", "tools", "scripts", "bench"],
    )
    return count


def build(preset: str, what: str, *options: str, targets: tuple[str, ...] = ()) -> Count:
    configure = run_one(f"{preset}-configure", f"{what}: configure", ["cmake", "--preset", preset, *options])
    if configure.failed:
        return configure
    chosen = ["--target", *targets] if targets else []
    return run_one(f"{preset}-build", f"{what}: build", ["cmake", "--build", "--preset", preset, *chosen])


def build_and_ctest(preset: str, what: str, *options: str, environment: dict[str, str] | None = None) -> Count:
    built = build(preset, what, *options)
    if built.failed:
        return built
    jobs = str(len(os.sched_getaffinity(0)))
    # The builds are steps, not tests: only what ctest ran is counted.
    return run_many(
        f"{preset}-ctest",
        f"{what}: run",
        ["ctest", "--preset", preset, "-j", jobs, "--timeout", "300", "--no-tests=error", "--output-junit", "{junit}"],
        environment,
    )


def run_cpp(_: argparse.Namespace) -> Count:
    return build_and_ctest("dev", "C++ tests, fuzz corpora replayed")


def run_asan(_: argparse.Namespace) -> Count:
    environment = {
        "ASAN_OPTIONS": "strict_string_checks=1:detect_stack_use_after_return=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    # No C++ test runs the command, and compiling it takes a while.
    what = "C++ tests under ASan and UBSan"
    return build_and_ctest("asan", what, "-DFLYWEIGHT_BUILD_CLI=OFF", environment=environment)


def record_digests(preset: str, *emulator: str) -> list[str]:
    """What tests/same_bytes/record_digests.cc prints in this build; empty where it fails."""
    program = ROOT / "build" / preset / "tests" / "same_bytes" / "flyweight_record_digests"
    result = subprocess.run([*emulator, str(program)], stdout=subprocess.PIPE, timeout=TIMEOUT_S, text=True)
    return result.stdout.splitlines() if result.returncode == 0 else []


def compare_digests(here: list[str], there: list[str]) -> Count:
    same = len(here) > 0 and here == there
    print(f"  {'the same bytes from both processors':<64}{'ok' if same else 'FAILED':>6}   {len(here)} records")
    if not same:
        differing = sorted(set(here) ^ set(there))
        print("".join(f"    differs: {line}\n" for line in differing[:20]), end="")
        print(f"    {len(here)} records here, {len(there)} under qemu, {len(differing)} lines in one list only")
    return Count(passed=int(same), failed=int(not same))


def run_aarch64(_: argparse.Namespace) -> Count:
    what = "aarch64 under qemu"
    rooms = [f"flyweight_{room}_test" for room in ("simd", "transform", "entropy", "erasure", "lossy", "codec")]
    programs = [*rooms, "flyweight_golden_test", "flyweight_codec_matrix_test", "flyweight_parity_isa_test"]
    digests = "flyweight_record_digests"
    for built in (build("aarch64", what, targets=(*programs, digests)), build("dev", "here", targets=(digests,))):
        if built.failed:
            return built
    # Programs that were not built have a failing test of that name. Large tensors are slow under qemu: those of BF16,
    # F16 and F32 run, whose codecs have kernels of their own.
    left_out = "_NOT_BUILT|RoundTripsLargeTensors/(BOOL|OPAQUE|[CIU]|F4|F6|F8)"
    options = ["-L", "unit", "-E", left_out, "-j", str(len(os.sched_getaffinity(0))), "--timeout", "900"]
    count = run_many(
        "aarch64-ctest",
        f"{what}: run",
        ["ctest", "--preset", "aarch64", *options, "--no-tests=error", "--output-junit", "{junit}"],
    )
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or "qemu-aarch64"
    return count + compare_digests(record_digests("dev"), record_digests("aarch64", emulator))


def run_python(_: argparse.Namespace) -> Count:
    environment = {
        "FLYWEIGHT_BIN": str(ROOT / ".venv" / "bin" / "flyweight"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(ROOT / "build" / "hypothesis"),
    }
    pytest = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml={junit}"]
    count = Count()
    for folder, label in (
        ("python", "the Python package"),
        ("cli", "the command line"),
        ("reference", "the second decoder"),
    ):
        command = [*pytest, f"tests/{folder}"]
        count += run_many(f"pytest-{folder}", f"tests/{folder}: {label}", command, environment)
    return count


def run_torch(_: argparse.Namespace) -> Count:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--show-capture=stdout"]
    command += ["--junitxml={junit}", "tests/training"]
    # Several processes on a few CPUs: threads of their own would only wait for each other.
    return run_many("pytest-training", "tests/training: checkpoints, callbacks", command, {"OMP_NUM_THREADS": "1"})


SUITES: dict[str, Callable[[argparse.Namespace], Count]] = {
    "checks": run_checks,
    "cpp": run_cpp,
    "python": run_python,
    "torch": run_torch,
    "asan": run_asan,
    "aarch64": run_aarch64,
}
OPTIONAL = ("aarch64",)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/test", description="Runs flyweight's tests.")
    parser.add_argument("--quick", action="store_true", help="leave out the suites torch and asan")
    parser.add_argument("--aarch64", action="store_true", help="also the suite aarch64, under qemu")
    suites_help = f"of {', '.join(SUITES)}; all but aarch64 by default"
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=suites_help)
    arguments = parser.parse_args()
    unknown = [suite for suite in arguments.suites if suite not in SUITES]
    if unknown:
        parser.error(f"no such suite: {', '.join(unknown)} (there are {', '.join(SUITES)})")
    left_out = {*OPTIONAL, *(["asan", "torch"] if arguments.quick else [])}
    if os.environ.get("FLYWEIGHT_TEST_TORCH") == "0":
        left_out.add("torch")
    chosen = arguments.suites or [suite for suite in SUITES if suite not in left_out]
    if arguments.aarch64 and "aarch64" not in chosen:
        chosen = [*chosen, "aarch64"]

    LOGS.mkdir(parents=True, exist_ok=True)
    if shutil.which("cmake") is None:
        print("cmake is not on the path: run scripts/test, not this file")
        return 2
    start = time.monotonic()
    total = Count()
    for suite in chosen:
        print(f"{suite}", flush=True)
        total += SUITES[suite](arguments)
    print(f"\n{time.monotonic() - start:.0f} s; logs in build/logs")
    print(total, flush=True)
    return 0 if total.failed == 0 and total.passed > 0 else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
