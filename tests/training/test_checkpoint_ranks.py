"""Checkpoints of several processes: saved by two, loaded by one and by three, every bit compared."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys

import pytest

RANKS = pathlib.Path(__file__).with_name("checkpoint_ranks.py")
TIMEOUT_S = 300
WAYS = ("fsdp", "fsdp-thread", "fsdp-process")


def torchrun(process_count: int, action: str, folder: pathlib.Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(process_count), str(RANKS), action, str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT_S
    )
    assert result.returncode == 0, result.stdout[-8000:]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("saved")
    torchrun(2, "save", folder)
    return folder


@pytest.mark.parametrize("process_count", [1, 3])
def test_what_two_ranks_saved_is_loaded_by_any_number(saved, process_count):
    torchrun(process_count, "load", saved)


def test_each_rank_writes_one_archive_and_there_is_one_index(saved):
    for name in ("plain", "fsdp", "fsdp-thread", "fsdp-process"):
        files = sorted(path.name.split(".", 1)[0] for path in (saved / name).iterdir())
        assert files == ["checkpoint", "rank00000", "rank00001"], name


def test_saving_at_once_and_in_the_background_write_the_same_bytes(saved):
    archives = [{path.name: path.read_bytes() for path in (saved / way).glob("*.fly")} for way in WAYS]
    assert archives[0] and archives[0] == archives[1] == archives[2]
