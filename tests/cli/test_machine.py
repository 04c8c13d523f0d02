"""What the machine may do to a run: permissions, full disks, signals, memory."""

import json
import os
import resource
import shutil
import signal
import struct
import subprocess
import time

import pytest
from command import MIB, PROGRAM, bf16_weights, expect_problem, peak_bytes


def drop_privileges():
    if os.geteuid() == 0:
        os.setgid(65534)
        os.setuid(65534)


@pytest.fixture
def open_place(place):
    """A directory that an unprivileged user can reach, though the test may run as root."""
    path = place.path
    while path != path.parent and os.access(path, os.W_OK):
        if path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o055)
        path = path.parent
    return place


def test_unwritable_directory(open_place, model):
    locked = open_place.path / "locked"
    locked.mkdir()
    (locked / "m").write_bytes(model)
    locked.chmod(0o555)
    outcome = open_place.run("locked/m", preexec=drop_privileges)
    expect_problem(outcome, 1, r"flyweight: locked/m: cannot write 'locked/m\.fly': Permission denied")
    assert os.listdir(locked) == ["m"]


def test_unreadable_file(open_place, model):
    open_place.write("m", model).chmod(0)
    outcome = open_place.run("m", "-o", "/nonexistent/out", preexec=drop_privileges)
    expect_problem(outcome, 1, r"flyweight: m: cannot open: Permission denied")


def limit_file_size(size_bytes):
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, size_bytes))


def test_full_disk(place):
    place.write("m", os.urandom(2 * MIB))
    place.run("m", "-o", "good.fly")
    before = place.names()
    for words in (["m"], ["-d", "good.fly"]):
        outcome = place.run(*words, preexec=limit_file_size(MIB))
        expect_problem(outcome, 1, r"flyweight: .*File too large")
        assert place.names() == before
        assert len(place.read("m")) == 2 * MIB


def wait_for_temporary_file(place, before):
    """Until there is one that has bytes in it: then it is known to the handler of signals."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        fresh = [name for name in place.names() if name not in before]
        if fresh and os.path.getsize(place.path / fresh[0]) > 0:
            break
        time.sleep(0.001)
    assert fresh[0].startswith(".")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["compress", "decompress"])
def test_signals_leave_nothing(place, number, verb):
    with open(place.path / "m", "wb") as file:
        file.truncate(500 * MIB)
    arguments = ["compress", "m", "-T1"]
    if verb == "decompress":
        assert place.run("compress", "m").code == 0
        arguments = ["decompress", "m.fly", "-o", "back", "-T1"]
    before = place.names()
    with subprocess.Popen([PROGRAM, *arguments], cwd=place.path, stderr=subprocess.PIPE) as process:
        wait_for_temporary_file(place, before)
        process.send_signal(number)
        assert process.stderr.read() == b""
        assert process.wait(20) == -number
    assert place.names() == before


def test_a_killed_run_does_not_hinder_the_next(place):
    with open(place.path / "m", "wb") as file:
        file.truncate(300 * MIB)
    with subprocess.Popen([PROGRAM, "m", "-T1"], cwd=place.path) as process:
        wait_for_temporary_file(place, ["m"])
        process.kill()
    assert "m.fly" not in place.names()
    assert place.run("m").code == 0


def allowed_bytes(threads):
    return 64 * MIB + threads * 16 * MIB


@pytest.fixture(scope="module")
def large_model(tmp_path_factory):
    """400 MiB: half of it weights, half random."""
    path = tmp_path_factory.mktemp("large") / "m"
    weights = bf16_weights(1 << 19)
    noise = os.urandom(MIB)
    count = 200
    tensors = {
        "weights": {"dtype": "BF16", "shape": [count << 19], "data_offsets": [0, count * MIB]},
        "noise": {"dtype": "F64", "shape": [count << 17], "data_offsets": [count * MIB, 2 * count * MIB]},
    }
    header = json.dumps(tensors).encode()
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for block in (weights, noise):
            for _ in range(count):
                file.write(block)
    yield path
    shutil.rmtree(path.parent)


@pytest.mark.parametrize("threads", [1, 3])
def test_memory_of_a_large_file(place, large_model, threads):
    for words in (["compress", large_model, "-o", "m.fly"], ["verify", "m.fly"], ["decompress", "m.fly", "-o", "back"]):
        code, peak = peak_bytes([*words, f"-T{threads}"], place.path)
        assert code == 0
        assert peak <= allowed_bytes(threads), f"{words[0]}: {peak / MIB:.0f} MiB"
    shutil.rmtree(place.path)


@pytest.mark.parametrize("element_count", [16, 40], ids=["inline", "records"])
def test_memory_of_many_tensors(place, element_count):
    count = 100_000
    size = 2 * element_count
    header = json.dumps(
        {
            f"model.layers.{i // 10}.attention.projection.{i}.weight": {
                "dtype": "BF16",
                "shape": [element_count],
                "data_offsets": [i * size, (i + 1) * size],
            }
            for i in range(count)
        }
    ).encode()
    content = struct.pack("<Q", len(header)) + header + bf16_weights(1 << 16) * (count * size // (1 << 17) + 1)
    place.write("m", content[: 8 + len(header) + count * size])
    for words in (["compress", "m"], ["verify", "m.fly"], ["decompress", "m.fly", "-o", "back"]):
        code, peak = peak_bytes([*words, "-T2"], place.path)
        assert code == 0
        assert peak <= allowed_bytes(2), f"{words[0]}: {peak / MIB:.0f} MiB"
    assert place.read("back") == place.read("m")
    assert json.loads(place.run("info", "--json", "m.fly").out)["tensor_count"] == count
