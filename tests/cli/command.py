"""What the tests of the command share: the program, a way to run it, small models, what a problem looks like."""

import json
import os
import pathlib
import random
import re
import struct
import subprocess
import sys

import pytest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def find_program():
    """FLYWEIGHT_BIN, or the newest of what is installed and built; not one with sanitizers, whose memory is another."""
    named = os.environ.get("FLYWEIGHT_BIN")
    if named:
        return pathlib.Path(named).resolve()
    places = (".venv/bin/flyweight", "build/dev/cli/flyweight", "build/release/cli/flyweight")
    found = [REPOSITORY / place for place in places if (REPOSITORY / place).is_file()]
    if not found:
        pytest.exit("no flyweight program: build it, or name it in FLYWEIGHT_BIN", returncode=2)
    return max(found, key=lambda path: path.stat().st_mtime)


PROGRAM = find_program()


MIB = 1 << 20


class Outcome:
    """How a run ended: code, and what it wrote."""

    def __init__(self, process):
        self.code = process.returncode
        self.out_bytes = process.stdout
        self.out = process.stdout.decode("utf-8", "surrogateescape")
        self.err = process.stderr.decode("utf-8", "surrogateescape")

    @property
    def lines(self):
        return self.err.splitlines()


class Workplace:
    """A directory and the command in it."""

    def __init__(self, path):
        self.path = path

    def run(self, *arguments, stdin=b"", environment=None, preexec=None):
        return Outcome(
            subprocess.run(
                [PROGRAM, *arguments],
                cwd=self.path,
                input=stdin,
                capture_output=True,
                timeout=120,
                env={**os.environ, **(environment or {})},
                preexec_fn=preexec,
                check=False,
            )
        )

    def write(self, name, content):
        path = self.path / name
        path.write_bytes(content)
        return path

    def read(self, name):
        return (self.path / name).read_bytes()

    def names(self):
        return sorted(os.listdir(self.path))


def safetensors(tensors):
    """A file of (name, dtype, shape, bytes) tensors."""
    header, data = {}, b""
    for name, dtype, shape, content in tensors:
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def bf16_weights(count, seed=0):
    """Weights with a few exponents, as models have them, and without stretches that repeat."""
    generator = random.Random(seed)
    words = [
        (generator.getrandbits(1) << 15)
        | ((118 + min(int(generator.expovariate(0.7)), 9)) << 7)
        | generator.getrandbits(7)
        for _ in range(4096)
    ]
    return struct.pack(f"<{count}H", *generator.choices(words, k=count))


# A process counts what it had before it became another program, so that a large parent would be measured too.
MEASURE = """
import resource, subprocess, sys
code = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, check=False).returncode
print(code, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024)
"""


def peak_bytes(arguments, cwd):
    """Exit code and the largest resident size of one run, measured by a small parent of its own."""
    command = [sys.executable, "-S", "-c", MEASURE, PROGRAM, *arguments]
    measured = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, check=True)
    code, peak = measured.stdout.split()
    return int(code), int(peak)


def expect_problem(outcome, code, pattern):
    assert outcome.code == code
    assert len(outcome.lines) == 1, outcome.err
    assert re.fullmatch(pattern, outcome.lines[0]), outcome.lines[0]
