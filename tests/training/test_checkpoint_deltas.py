"""Checkpoints that are patches on the one before."""

from __future__ import annotations

import os
import shutil

import pytest
import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from flyweight import _checkpoint_index
from flyweight.checkpoint import FlyweightReader, FlyweightWriter

pytestmark = pytest.mark.filterwarnings("ignore:torch.distributed is .*:UserWarning")
STEPS = 7
KEY_FRAME_EVERY = 3


def states() -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    state = {name: torch.randn(200, 128, generator=generator) for name in ("a", "b")}
    result = []
    for step in range(STEPS):
        moved = {name: t + 1e-5 * torch.randn(t.shape, generator=generator) for name, t in state.items()}
        result.append({**moved, "same": torch.arange(5000) * 77, "step": torch.tensor(step)})
    return result


def load(path):
    state = {name: torch.zeros_like(tensor) for name, tensor in states()[0].items()}
    dcp.load(state, storage_reader=FlyweightReader(path))
    return state


def assert_same(found, wanted):
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def files_of(path):
    return _checkpoint_index.read(path / _checkpoint_index.FILE_NAME).files


def save_all(folder):
    writer = FlyweightWriter(folder / "step-0", base="previous", key_frame_every=KEY_FRAME_EVERY)
    for step, state in enumerate(states()):
        dcp.save(state, storage_writer=writer, checkpoint_id=folder / f"step-{step}")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    save_all(folder)
    return folder


@pytest.fixture
def linked_run(run, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    return folder


@pytest.fixture
def unlinked_run(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "this file system has no hard links")

    monkeypatch.setattr(os, "link", refuse)
    save_all(tmp_path)
    return tmp_path


def test_every_step_is_restored_bit_by_bit(run):
    for step, state in enumerate(states()):
        assert_same(load(run / f"step-{step}"), state)


def test_key_frames_stand_alone_and_the_others_are_patches(run):
    depths = [max(file.depth for file in files_of(run / f"step-{step}").values()) for step in range(STEPS)]
    assert depths == [0, 1, 2, 0, 1, 2, 0]
    own_bytes = [
        max(files_of(run / f"step-{n}").values(), key=lambda file: file.depth).size_bytes for n in range(STEPS)
    ]
    assert all(patch < 0.8 * whole for patch in own_bytes[1:3] for whole in (own_bytes[0], own_bytes[3]))


def test_a_patch_takes_with_it_what_it_needs_without_taking_space(run):
    files = files_of(run / "step-2")
    assert {path.name for path in (run / "step-2").glob("*.fly")} == set(files)
    link_counts = {file.depth: (run / "step-2" / name).stat().st_nlink for name, file in files.items()}
    assert link_counts == {0: 3, 1: 2, 2: 1}


def test_older_checkpoints_can_be_deleted(linked_run):
    for step in (0, 1, 3, 4):
        shutil.rmtree(linked_run / f"step-{step}")
    for step in (2, 5, 6):
        assert_same(load(linked_run / f"step-{step}"), states()[step])


def test_a_copy_elsewhere_is_whole(run, tmp_path):
    shutil.copytree(run / "step-5", tmp_path / "copy")
    assert_same(load(tmp_path / "copy"), states()[5])


def test_without_hard_links_the_base_stays_where_it_is(unlinked_run):
    assert [len(list((unlinked_run / f"step-{step}").glob("*.fly"))) for step in range(STEPS)] == [1] * STEPS
    for step, state in enumerate(states()):
        assert_same(load(unlinked_run / f"step-{step}"), state)


def test_a_base_that_was_removed_is_named(unlinked_run):
    (removed,) = (unlinked_run / "step-1").glob("*.fly")
    shutil.rmtree(unlinked_run / "step-1")
    with pytest.raises(CheckpointException, match=f"step-1/{removed.name} is missing: .* is a patch on it"):
        load(unlinked_run / "step-2")
    assert_same(load(unlinked_run / "step-3"), states()[3])


def test_a_base_that_is_another_is_an_error(unlinked_run):
    (base,) = (unlinked_run / "step-0").glob("*.fly")
    (other,) = (unlinked_run / "step-3").glob("*.fly")
    shutil.copy(other, base)
    with pytest.raises(CheckpointException):
        load(unlinked_run / "step-1")


def test_after_a_broken_chain_a_save_stands_alone(unlinked_run):
    shutil.rmtree(unlinked_run / "step-6")
    shutil.rmtree(unlinked_run / "step-4")
    writer = FlyweightWriter(unlinked_run / "step-7", base="previous", key_frame_every=9)
    dcp.save(states()[0], storage_writer=writer)
    (base_depth,) = [file.depth for file in files_of(unlinked_run / "step-7").values() if file.home is None]
    assert base_depth in (0, 1)
    assert_same(load(unlinked_run / "step-7"), states()[0])


def test_a_checkpoint_may_replace_the_one_it_is_a_patch_on(tmp_path):
    for state in states()[:3]:
        dcp.save(state, storage_writer=FlyweightWriter(tmp_path / "latest", base="previous", key_frame_every=2))
        assert_same(load(tmp_path / "latest"), state)
    assert len(list((tmp_path / "latest").glob("*.fly"))) == 1
