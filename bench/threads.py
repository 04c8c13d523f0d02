"""One thread beside two, in wall time on two CPUs, alternating; a copy by one and two threads shows what memory allows.

A process of its own, with a warm heap: `python -m bench.threads FOLDER CASE ROUNDS`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

from bench.worker import SINGLE_THREAD, WARM_HEAP

ROW_ELEMENTS = 1024
WARM_UP_ROUNDS = 2


def measure(folder: Path, case: str, rounds: int) -> dict:
    """Wall seconds by task and thread count, one a round."""
    command = [sys.executable, "-m", "bench.threads", str(folder), case, str(rounds)]
    result = subprocess.run(
        command, env={**os.environ, **WARM_HEAP, **SINGLE_THREAD}, stdout=subprocess.PIPE, text=True, check=True
    )
    return json.loads(result.stdout.splitlines()[-1])


class Tasks:
    """What is timed, `run`, and whether it came out right, `check`, by the names that the report uses.

    "large tensor" is all weights of the case as one tensor: its own tensors are small, most have less than two chunks.
    """

    NAMES = ("large tensor, encode", "large tensor, decode", "load of all tensors", "archive, encode", "memcpy")

    def __init__(self, folder: Path, case_name: str) -> None:
        import numpy as np

        import flyweight
        from bench.codecs.flyweight_archive import archive_of
        from bench.corpus import load_case

        self._flyweight, self._archive_of = flyweight, archive_of
        self.case = load_case(folder, case_name)
        rows = self.case.payload.nbytes // (2 * ROW_ELEMENTS)
        self.large = self.case.payload[: 2 * rows * ROW_ELEMENTS]
        self.shape = (rows, ROW_ELEMENTS)
        self.large_blob = flyweight.compress(self.large, dtype=self.case.dtype, shape=self.shape, threads=1)
        self.archive = archive_of(self.case, thread_count=1)
        self.target = np.empty_like(self.large)
        self.made: object = None

    def prepare(self) -> None:
        self.made = None
        self.target.fill(0xA5)

    def run(self, name: str, thread_count: int) -> None:
        if name == "large tensor, encode":
            self.made = self._flyweight.compress(
                self.large, dtype=self.case.dtype, shape=self.shape, threads=thread_count
            )
        elif name == "large tensor, decode":
            self._flyweight.decompress(self.large_blob, out=self.target, threads=thread_count)
        elif name == "load of all tensors":
            self.made = self._flyweight.numpy.load(self.archive, threads=thread_count)
        elif name == "archive, encode":
            self.made = self._archive_of(self.case, thread_count)
        else:
            _copy(self.target, self.large, thread_count)

    def check(self, name: str) -> bool:
        import numpy as np

        if name == "large tensor, encode":
            return self.made == self.large_blob
        if name == "archive, encode":
            return self.made == self.archive
        if name == "load of all tensors":
            assert isinstance(self.made, dict)
            arrays = [self.made[tensor.name] for tensor in self.case.tensors]
            return all(array.tobytes() == t.data.tobytes() for array, t in zip(arrays, self.case.tensors, strict=True))
        return np.array_equal(self.target, self.large)


def _copy(target, source, thread_count: int) -> None:
    import numpy as np

    if thread_count == 1:
        np.copyto(target, source)
        return
    half = source.size // 2
    other = threading.Thread(target=np.copyto, args=(target[half:], source[half:]))
    other.start()
    np.copyto(target[:half], source[:half])
    other.join()


def _run(folder: Path, case_name: str, rounds: int) -> dict:
    tasks = Tasks(folder, case_name)
    seconds: dict[str, dict[str, list[float]]] = {name: {"1": [], "2": []} for name in tasks.NAMES}
    for number in range(WARM_UP_ROUNDS + rounds):
        for name in tasks.NAMES:
            for thread_count in (1, 2):
                tasks.prepare()
                begin = time.perf_counter()
                tasks.run(name, thread_count)
                elapsed = time.perf_counter() - begin
                if not tasks.check(name):
                    raise SystemExit(f"{case_name}, {name}, {thread_count} threads: the bytes differ")
                if number >= WARM_UP_ROUNDS:
                    seconds[name][str(thread_count)].append(elapsed)
    return {"bytes": tasks.large.nbytes, "seconds": seconds}


if __name__ == "__main__":
    print(json.dumps(_run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
