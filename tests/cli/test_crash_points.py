"""The quick part of tests/torture/crash_points.py: some commands, killed at some of their system calls."""

import pathlib
import re
import sys

import pytest
from command import PROGRAM, REPOSITORY

sys.path.insert(0, str(REPOSITORY / "tests" / "torture"))

import crash_points
import tracer


@pytest.fixture(scope="module", autouse=True)
def tracing():
    try:
        tracer.run(["/bin/true"], pathlib.Path("/"))
    except (tracer.TraceError, PermissionError) as error:
        pytest.skip(f"no tracing here: {error}")


def tried(capsys, *arguments):
    """Points tried, where all of them held."""
    code = crash_points.main(["--program", str(PROGRAM), "--jobs", "2", *arguments])
    output = capsys.readouterr().out
    assert code == 0, output
    return int(re.search(r"^(\d+) points tried, 0 failures$", output, re.MULTILINE).group(1))


@pytest.mark.parametrize("case", ["compress", "overwrite", "decompress"])
def test_killed(capsys, case):
    assert tried(capsys, case, "--actions", "kill", "--threads", "2", "--every", "2") >= 10


def test_failing_calls(capsys):
    if not tracer.CAN_FAIL_CALLS:
        pytest.skip("making calls fail is not implemented for this machine")
    assert (
        tried(capsys, "compress", "decompress", "--actions", "EIO,ENOSPC,EINTR", "--threads", "1", "--every", "4") >= 20
    )


def test_debris_is_noticed(tmp_path, capsys):
    """The check of the check: a command that leaves a file behind where it is killed."""
    script = tmp_path / "flyweight"
    # Asked for its help it is elsewhere, where nothing is to be written.
    work = ": > debris; : > m.fly; cat m > m.fly; rm debris"
    script.write_text(f"#!/bin/sh\n[ -f m ] || exit 0\ncase $1 in --help) ;; *) {work} ;; esac\n")
    script.chmod(0o755)
    assert crash_points.main(["compress", "--program", str(script), "--actions", "kill", "--threads", "1"]) == 1
    output = capsys.readouterr().out
    assert "unknown files: ['debris']" in output and "m.fly is there and is not complete" in output
