"""The Trainer's callbacks, in real runs of a small model."""

from __future__ import annotations

import pathlib
import shutil

import pytest
import torch

transformers = pytest.importorskip("transformers")

import flyweight  # noqa: E402
from flyweight import _chain, deltatensors  # noqa: E402
from flyweight.transformers import DeltaTensorsCallback, FlyweightCallback, materialize  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")
SAVE_EVERY = 2
STEPS = 12
KEY_FRAME_EVERY = 3


class Keeper(transformers.TrainerCallback):
    """Keeps a copy of every checkpoint as it was before anything was done to it."""

    def __init__(self, folder: pathlib.Path) -> None:
        self.folder = folder

    def on_save(self, args, state, control, **kwargs):
        name = f"checkpoint-{state.global_step}"
        shutil.copytree(pathlib.Path(args.output_dir) / name, self.folder / name, dirs_exist_ok=True)


def make_trainer(output_dir: pathlib.Path, *callbacks, max_steps: int = STEPS, **options):
    transformers.set_seed(7)
    config = transformers.GPT2Config(vocab_size=300, n_positions=32, n_embd=48, n_layer=2, n_head=2)
    data = [{"input_ids": (ids := torch.randint(0, 300, (16,))), "labels": ids} for _ in range(64)]
    arguments = transformers.TrainingArguments(
        output_dir=str(output_dir),
        max_steps=max_steps,
        save_steps=SAVE_EVERY,
        save_total_limit=2,
        per_device_train_batch_size=4,
        learning_rate=1e-4,
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        logging_steps=1000,
        **options,
    )
    model = transformers.GPT2LMHeadModel(config)
    return transformers.Trainer(
        model=model, args=arguments, train_dataset=data, eval_dataset=data[:4], callbacks=list(callbacks)
    )


def content(folder: pathlib.Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def weights(trainer) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in trainer.model.state_dict().items()}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a chain, and copies of all that the Trainer saved."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "copies").mkdir()
    callbacks = Keeper(folder / "copies"), FlyweightCallback(key_frame_every=KEY_FRAME_EVERY)
    make_trainer(folder / "out", *callbacks).train()
    return folder


@pytest.fixture
def own_run(run, tmp_path):
    shutil.copytree(run / "out", tmp_path / "out")
    return tmp_path / "out"


def chain_of(output_dir: pathlib.Path) -> _chain.Chain:
    return _chain.Chain(output_dir / "flyweight")


def test_every_checkpoint_is_kept_though_the_trainer_removes_them(run):
    there = sorted(int(path.name.split("-")[1]) for path in (run / "out").glob("checkpoint-*"))
    assert there == [10, 12]
    assert chain_of(run / "out").steps() == [2, 4, 6, 8, 10, 12]


def test_the_chain_has_key_frames_and_patches_between_them(run):
    chain = chain_of(run / "out")
    assert [len(chain.lineage(version)) for version in chain.versions] == [1, 2, 3, 1, 2, 3]
    sizes = [version.size_bytes for version in chain.versions]
    assert all(patch < whole for patch in sizes[1:3] for whole in (sizes[0], sizes[3]))


@pytest.mark.parametrize("step", range(SAVE_EVERY, STEPS + 1, SAVE_EVERY))
def test_every_step_is_materialized_file_by_file(run, tmp_path, step):
    place = materialize(run / "out", step, target=tmp_path / "restored")
    assert content(pathlib.Path(place)) == content(run / "copies" / f"checkpoint-{step}")


def test_a_resumed_run_ends_with_the_same_bits(own_run, tmp_path):
    expected = make_trainer(tmp_path / "straight")
    expected.train()
    shutil.rmtree(own_run / "checkpoint-12")
    resumed = make_trainer(own_run, FlyweightCallback(key_frame_every=KEY_FRAME_EVERY))
    place = materialize(own_run, 6)
    assert place == str(own_run / "checkpoint-6")
    resumed.train(resume_from_checkpoint=place)
    assert resumed.state.global_step == STEPS and weights(resumed) == weights(expected)
    assert chain_of(own_run).steps() == [2, 4, 6, 8, 10, 12]


def test_a_run_that_was_resumed_leaves_the_versions_it_abandoned(own_run):
    place = materialize(own_run, 4)
    resumed = make_trainer(own_run, FlyweightCallback(), max_steps=6)
    resumed.train(resume_from_checkpoint=place)
    chain = chain_of(own_run)
    assert chain.steps() == [2, 4, 6]
    assert [each.state for each in chain.versions if each.step == 6] == ["abandoned", "current"]
    assert chain.find().step == 6 and chain.find(10).state == "abandoned"
    for version in chain.versions:
        chain.verify(version)


def test_full_checkpoints_are_deleted_and_come_back(run, tmp_path):
    make_trainer(tmp_path / "out", FlyweightCallback(delete_full_checkpoint=True)).train()
    assert not list((tmp_path / "out").glob("checkpoint-*")) and not list((tmp_path / "out").glob(".checkpoint-*"))
    place = pathlib.Path(materialize(tmp_path / "out"))
    assert place == tmp_path / "out" / "checkpoint-12"
    weights_name = "model.safetensors"
    assert (place / weights_name).read_bytes() == (run / "copies" / "checkpoint-12" / weights_name).read_bytes()


def test_nothing_is_deleted_that_was_not_verified(tmp_path, monkeypatch):
    def fail(self, version, threads=0):
        raise flyweight.ChecksumError("the disk lies")

    monkeypatch.setattr(_chain.Chain, "verify", fail)
    with pytest.raises(flyweight.ChecksumError, match="the disk lies"):
        make_trainer(tmp_path / "out", FlyweightCallback(delete_full_checkpoint=True), max_steps=2).train()
    assert (tmp_path / "out" / "checkpoint-2" / "model.safetensors").is_file()


def test_the_best_checkpoint_stays_for_the_end_of_the_run(tmp_path):
    options = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": SAVE_EVERY}
    trainer = make_trainer(tmp_path / "out", FlyweightCallback(delete_full_checkpoint=True), max_steps=4, **options)
    trainer.train()
    best = pathlib.Path(trainer.state.best_model_checkpoint)
    assert (best / "model.safetensors").is_file()


def test_old_versions_are_forgotten_with_the_archives_that_nothing_needs(tmp_path):
    callback = FlyweightCallback(key_frame_every=KEY_FRAME_EVERY, keep_last=2)
    make_trainer(tmp_path / "out", callback).train()
    chain = chain_of(tmp_path / "out")
    assert chain.steps() == [10, 12]
    assert sorted(path.name for path in chain.folder.glob("*.fly")) == [f"checkpoint-{n}.fly" for n in (10, 12, 8)]
    assert (pathlib.Path(materialize(tmp_path / "out", 12, target=tmp_path / "x")) / "optimizer.pt").is_file()
    with pytest.raises(flyweight.FlyweightError, match="no version of step 8; steps in it: 10, 12"):
        chain.find(8)


def test_failures_raise_or_warn_as_asked(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        make_trainer(tmp_path / "a", FlyweightCallback(tmp_path / "file" / "chain"), max_steps=2).train()
    trainer = make_trainer(
        tmp_path / "b", FlyweightCallback(tmp_path / "file" / "x", on_error="warn", delete_full_checkpoint=True)
    )
    with pytest.warns(UserWarning, match="was not kept in compressed form"):
        trainer.train()
    assert trainer.state.global_step == STEPS and (tmp_path / "b" / "checkpoint-12" / "model.safetensors").is_file()


def test_only_the_first_process_compresses(tmp_path):
    state = transformers.TrainerState(global_step=2, is_world_process_zero=False)
    arguments = transformers.TrainingArguments(output_dir=str(tmp_path), report_to=[], use_cpu=True)
    FlyweightCallback().on_save(arguments, state, transformers.TrainerControl())
    assert not list(tmp_path.iterdir())
    state.is_world_process_zero = True
    with pytest.raises(flyweight.FlyweightError, match=r"there is no .*checkpoint-2 to keep"):
        FlyweightCallback().on_save(arguments, state, transformers.TrainerControl())


def test_a_broken_chain_names_what_it_lacks_and_begins_anew(own_run):
    chain = chain_of(own_run)
    (chain.folder / "checkpoint-8.fly").unlink()
    with pytest.raises(
        flyweight.BaseMismatchError, match=r"checkpoint-8\.fly is missing: step 10 of the chain needs it"
    ):
        materialize(own_run, 10, target=own_run / "x")
    assert not (own_run / "x").exists()
    source = own_run / "checkpoint-12"
    with pytest.warns(UserWarning, match="the chain is broken"):
        version = chain.add(14, source, KEY_FRAME_EVERY)
    assert version.base is None and chain.find().step == 14


def test_a_damaged_base_is_not_built_upon(own_run):
    chain = chain_of(own_run)
    path = chain.folder / "checkpoint-8.fly"
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(flyweight.FlyweightError):
        materialize(own_run, 8, target=own_run / "x")
    assert not (own_run / "x").exists()


def test_a_checkpoint_that_is_there_is_not_touched(own_run):
    before = content(own_run / "checkpoint-12")
    assert materialize(own_run) == str(own_run / "checkpoint-12")
    assert content(own_run / "checkpoint-12") == before
    (own_run / "checkpoint-10" / "trainer_state.json").unlink()
    with pytest.raises(FileExistsError, match="checkpoint-10"):
        materialize(own_run, 10)


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"format": "x", "version": 1, "versions": []}',
        b'{"format": "flyweight chain", "version": 9, "versions": []}',
        b'{"format": "flyweight chain", "version": 1, "versions": [{"step": 1}]}',
        b'{"format": "flyweight chain", "version": 1, "versions": '
        b'[{"step": 1, "file": "../x.fly", "base": null, "size_bytes": 1}]}',
        b'{"format": "flyweight chain", "version": 1, "versions": '
        b'[{"step": 1, "file": "x.fly", "base": "x.fly", "size_bytes": 1}]}',
    ],
)
def test_a_bad_list_of_versions_is_an_error(tmp_path, text):
    (tmp_path / "flyweight").mkdir()
    (tmp_path / "flyweight" / "chain.json").write_bytes(text)
    with pytest.raises(flyweight.FlyweightError):
        materialize(tmp_path)


@pytest.fixture(scope="module")
def base_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    make_trainer(folder / "out").model.save_pretrained(folder / "base")
    return folder / "base"


def relative_error(found, tune, base):
    lost = sum((found[name].double() - tune[name].double()).square().sum() for name in tune)
    moved = sum((base[name].double() - tune[name].double()).square().sum() for name in tune)
    return float((lost / moved).sqrt())


def test_deltas_to_a_base_are_near_what_was_trained(tmp_path, base_dir):
    make_trainer(tmp_path / "out", DeltaTensorsCallback(base_dir, "uniform", error=0.1), max_steps=4).train()
    checkpoint = tmp_path / "out" / "checkpoint-4"
    tune = flyweight.torch.load_file(checkpoint / "model.safetensors")
    found = deltatensors.load_delta_from_paths(checkpoint / "model.delta.fly", base_dir, framework="pt")
    base = flyweight.torch.load_file(base_dir / "model.safetensors")
    assert found.keys() == tune.keys() and 0 < relative_error(found, tune, base) < 0.101


def test_weights_are_deleted_after_their_delta_was_decoded_and_only_then(tmp_path, base_dir, monkeypatch):
    callback = DeltaTensorsCallback(base_dir, delete_full_checkpoint=True)
    make_trainer(tmp_path / "out", callback, max_steps=2).train()
    checkpoint = tmp_path / "out" / "checkpoint-2"
    assert not list(checkpoint.glob("*.safetensors")) and (checkpoint / "optimizer.pt").is_file()
    assert deltatensors.load_delta_from_paths(checkpoint / "model.delta.fly", base_dir, framework="pt")

    def fail(*args, **options):
        raise flyweight.ChecksumError("the delta does not decode")

    monkeypatch.setattr(deltatensors, "load_delta_from_paths", fail)
    with pytest.raises(flyweight.ChecksumError):
        make_trainer(tmp_path / "other", callback, max_steps=2).train()
    assert (tmp_path / "other" / "checkpoint-2" / "model.safetensors").is_file()


def test_a_base_that_is_not_there_is_an_error_or_a_warning(tmp_path):
    with pytest.raises(OSError):
        make_trainer(tmp_path / "a", DeltaTensorsCallback(tmp_path / "nowhere"), max_steps=2).train()
    callback = DeltaTensorsCallback(tmp_path / "nowhere", delete_full_checkpoint=True, on_error="warn")
    with pytest.warns(UserWarning, match="was not kept in compressed form"):
        make_trainer(tmp_path / "b", callback, max_steps=2).train()
    assert {path.name for path in (tmp_path / "b" / "checkpoint-2").glob("model*")} == {"model.safetensors"}


def test_arguments_that_make_no_sense_are_refused():
    for options in (
        {"on_error": "ignore"},
        {"level": "tiny"},
        {"key_frame_every": 0},
        {"keep_last": 0},
        {"threads": -1},
    ):
        with pytest.raises(ValueError):
            FlyweightCallback(**options)
