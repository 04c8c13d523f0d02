"""A process that measures one codec on one case, told over a pipe when to do what.

Each codec has a process of its own: its heap is warm with its own buffers only, and FLYWEIGHT_ISA can differ. The
parent lets them work in turn, never two at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

# Let malloc keep and reuse what it has: a fresh page costs more than decoding into it. One arena: ZipNN uses a thread.
WARM_HEAP = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_MMAP_THRESHOLD_": str(1 << 40),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 40),
    "MALLOC_TOP_PAD_": str(64 << 20),
    "MALLOC_ARENA_MAX": "1",
}
SINGLE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class WorkerFailed(Exception):
    """The codec raised, crashed, or gave back other bytes."""


class Worker:
    """The parent's end."""

    def __init__(
        self, codec: str, folder: Path, case: str, cpu: int, environment: dict[str, str] | None = None
    ) -> None:
        self.name = codec
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", codec, str(folder), case, str(cpu)],
            env={**os.environ, **WARM_HEAP, **SINGLE_THREAD, **(environment or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.info = self._receive()

    def ask(self, verb: str) -> dict:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(verb + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass
        return self._receive()

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait()

    def _receive(self) -> dict:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise WorkerFailed(f"{self.name}: the process ended with status {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            self.close()
            raise WorkerFailed(f"{self.name}: {answer['error']}")
        return answer


def _timed(function) -> dict:
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return {"cpu_s": time.process_time() - cpu, "wall_s": time.perf_counter() - wall}


def _digest(parts: list[bytes]) -> str:
    import xxhash

    state = xxhash.xxh3_128()
    for part in parts:
        state.update(part)
    return state.hexdigest()


def _serve(codec_name: str, folder: Path, case_name: str, answer) -> None:
    import gc

    import numpy as np

    from bench import codecs
    from bench.corpus import load_case

    codec = codecs.make(codec_name)
    codec.setup(load_case(folder, case_name))
    answer({"settings": codec.describe(), "payload_bytes": codec.case.payload.nbytes})
    gc.disable()
    for line in sys.stdin:
        verb = line.strip()
        if verb == "encode":
            codec.before_encode()
            result = _timed(codec.encode)
            parts = codec.encoded()
            result["encoded_bytes"] = sum(map(len, parts))
            result["digest"] = _digest(parts)
        elif verb == "decode":
            codec.before_decode()
            result = _timed(codec.decode)
            if not np.array_equal(codec.restored(), codec.original()):
                raise WorkerFailed("the restored bytes differ from the original")
        else:
            raise WorkerFailed(f"unknown verb {verb}")
        gc.collect()
        answer(result)


def main() -> int:
    codec_name, folder, case_name, cpu = sys.argv[1:]
    os.sched_setaffinity(0, {int(cpu)})
    # What a library prints must not reach the pipe.
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def answer(value: dict) -> None:
        pipe.write(json.dumps(value) + "\n")
        pipe.flush()

    try:
        _serve(codec_name, Path(folder), case_name, answer)
    except Exception as error:  # Every failure becomes one line for the parent.
        answer({"error": f"{type(error).__name__}: {error}"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
