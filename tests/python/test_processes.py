"""Imports, threads, fork and spawn, and the command that comes with the package."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import sysconfig
import threading
import time
import warnings

import numpy as np
import pytest

import flyweight
from conftest import weights


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


def test_import_brings_neither_numpy_nor_torch():
    code = """
import sys, flyweight, flyweight.numpy, flyweight.torch
print(*({"numpy", "torch", "ml_dtypes"} & set(sys.modules)))
"""
    assert run_python(code) == ""


def test_bytes_need_no_numpy():
    code = """
import sys
sys.modules["numpy"] = sys.modules["torch"] = None
import flyweight
out = bytearray(4000)
assert flyweight.decompress(flyweight.compress(b"word" * 1000, dtype="bf16"), out=out) is out and out == b"word" * 1000
print("fine")
"""
    assert run_python(code) == "fine"


def test_numpy_functions_do_not_import_torch(tmp_path):
    code = f"""
import sys, numpy, flyweight
flyweight.numpy.save_file({{"a": numpy.zeros(3)}}, {str(tmp_path / "m.fly")!r})
flyweight.numpy.load_file({str(tmp_path / "m.fly")!r})
flyweight.compress(numpy.zeros(3))
print("torch" in sys.modules)
"""
    assert run_python(code) == "False"


def round_trips() -> bool:
    tensor = weights("BF16", (1200, 500))
    return flyweight.decompress(flyweight.compress(tensor, threads=3), threads=3) == tensor.tobytes()


def check(queue) -> None:
    queue.put(round_trips())


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_child_processes_can_use_it_after_the_parent_did(method):
    assert round_trips()
    context = multiprocessing.get_context(method)
    queue = context.Queue()
    with warnings.catch_warnings():
        # Python warns of fork() in a process with threads; that it works here is what is tested.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = context.Process(target=check, args=(queue,))
        child.start()
    assert queue.get(timeout=60)
    child.join(60)
    assert child.exitcode == 0


def test_fork_with_an_open_handle(tmp_path):
    tensor = weights("BF16", (1200, 500))
    flyweight.numpy.save_file({"t": tensor}, tmp_path / "m.fly")
    with flyweight.safe_open(tmp_path / "m.fly", "np", threads=3) as opened:
        assert opened.get_tensor("t").tobytes() == tensor.tobytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            os._exit(0 if opened.get_tensor("t").tobytes() == tensor.tobytes() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert opened.get_tensor("t").tobytes() == tensor.tobytes()


@pytest.mark.parametrize("work", ["compress", "decompress", "decompress into", "load"])
def test_other_python_threads_run_meanwhile(work, tmp_path):
    tensor = weights("F32", (2000, 2000))
    blob = flyweight.compress(tensor)
    out = np.empty_like(tensor)
    flyweight.numpy.save_file({"t": tensor}, tmp_path / "m.fly")
    call = {
        "compress": lambda: flyweight.compress(tensor, threads=1),
        "decompress": lambda: flyweight.decompress(blob, threads=1),
        "decompress into": lambda: flyweight.decompress(blob, out=out, threads=1),
        "load": lambda: flyweight.numpy.load_file(tmp_path / "m.fly", threads=1),
    }[work]

    # The other thread counts only while a call is under way, which it can only if the call lets go of the lock.
    inside = threading.Event()
    stop = threading.Event()
    counted = 0

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            if inside.is_set():
                counted += 1
            time.sleep(0)  # lets go of the lock

    counter = threading.Thread(target=count)
    counter.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)  # a thread that holds the lock keeps it until it lets it go
    try:
        for _ in range(5):
            inside.set()
            call()
            inside.clear()
    finally:
        sys.setswitchinterval(interval)
        stop.set()
        counter.join()
    assert counted > 0


def test_the_command_comes_with_the_package(tmp_path):
    command = os.path.join(sysconfig.get_path("scripts"), "flyweight")
    if not os.path.exists(command):
        pytest.skip("the package was not installed from a wheel")
    assert (
        flyweight.__version__
        in subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout
    )
    tensors = {"a": weights("BF16", (300, 200)), "b": np.arange(9)}
    flyweight.numpy.save_file(tensors, tmp_path / "m.fly")
    subprocess.run([command, "verify", tmp_path / "m.fly"], check=True, capture_output=True)
    subprocess.run([command, "decompress", tmp_path / "m.fly", "-o", tmp_path / "m.safetensors"], check=True)
    loaded = flyweight.numpy.load_file(tmp_path / "m.safetensors")
    assert loaded["a"].tobytes() == tensors["a"].tobytes()
    subprocess.run([command, "compress", tmp_path / "m.safetensors", "-o", tmp_path / "again.fly"], check=True)
    assert (tmp_path / "again.fly").read_bytes()[64:] != b""
    assert flyweight.numpy.load_file(tmp_path / "again.fly")["b"].tolist() == list(range(9))
