"""--strip: what is restored is what the packages torch, safetensors, numpy and gguf take for the model without it."""

import collections
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

GGUF_ALIGNMENT = 32


def stripped(place, name, *patterns):
    """The restored file, and what the archive says of it."""
    flags = [word for pattern in patterns for word in ("--strip", pattern)]
    outcome = place.run(name, *flags, "-f")
    assert outcome.code == 0, outcome.err
    assert place.run("-d", f"{name}.fly", "-o", "left", "-f").code == 0
    listed = place.run("list", f"{name}.fly")
    assert "STRIPPED" in listed.out + listed.err
    return place.path / "left"


def expect_nothing_stripped(place, name, pattern="optimizer"):
    outcome = place.run(name, "--strip", pattern, "-f")
    assert outcome.code == 2, outcome.err
    assert "nothing in" in outcome.err
    assert place.run("-d", f"{name}.fly", "-o", "left", "-f").code == 0
    assert place.read("left") == place.read(name)


# PyTorch --------------------------------------------------------------------------------------------------------------


def same(a, b, path=""):
    torch = pytest.importorskip("torch")
    assert type(a) is type(b), path
    if isinstance(a, torch.Tensor):
        assert (a.dtype, a.shape, a.stride()) == (b.dtype, b.shape, b.stride()), path
        assert a.detach().contiguous().numpy().tobytes() == b.detach().contiguous().numpy().tobytes(), path
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for key in a:
            same(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for number, (x, y) in enumerate(zip(a, b, strict=True)):
            same(x, y, f"{path}.{number}")
    else:
        assert a == b, path


def train():
    """A model with tied weights and running statistics, its optimizer and its scheduler."""
    torch = pytest.importorskip("torch")
    torch.manual_seed(1)
    layers = collections.OrderedDict(
        embed=torch.nn.Embedding(50, 64),
        linear=torch.nn.Linear(64, 64),
        norm=torch.nn.BatchNorm1d(64),
        out=torch.nn.Linear(64, 50, bias=False),
    )
    model = torch.nn.Sequential(layers)
    model.out.weight = model.embed.weight
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for _ in range(2):
        model(torch.randint(0, 50, (16,))).square().mean().backward()
        optimizer.step()
    return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 2)


def checkpoints():
    """By name: a checkpoint, and the path to what is the optimizer's in it."""
    torch = pytest.importorskip("torch")
    model, optimizer, scheduler = train()
    plain = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict(),
        "rng": torch.get_rng_state(),
        "epoch": 3,
        "ssm_state": torch.randn(7),
        "buffers": {"model.state": torch.ones(2), "state": torch.zeros(3), "step": torch.tensor(4.0)},
    }
    lightning = {
        "epoch": 1,
        "optimizer_states": [optimizer.state_dict(), optimizer.state_dict()],
        "lr_schedulers": [scheduler.state_dict()],
        "state_dict": model.state_dict(),
        "hyper_parameters": {"optimizer": "adam", "exp_avg": "no tensor"},
        "loops": {"state": {}, "param_groups": 3},
    }
    # The names that both parts have are stored in the part that goes.
    names = ["exp_avg", "lr", "state"]
    first = collections.OrderedDict(optimizer=optimizer.state_dict(), names=names, model=model.state_dict())
    deep = {"runs": [{"trainer": {"opt": optimizer.state_dict(), "step": 7}}], "model": model.state_dict()}
    return {
        "plain": (plain, ("optimizer",)),
        "lightning": (lightning, ("optimizer_states",)),
        "first": (first, ("optimizer",)),
        "deep": (deep, ("runs", 0, "trainer", "opt")),
    }


@pytest.mark.parametrize("name", ["plain", "lightning", "first", "deep"])
@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("is_zip", [True, False], ids=["zip", "legacy"])
def test_checkpoints_lose_their_optimizer_and_nothing_else(place, name, protocol, is_zip):
    torch = pytest.importorskip("torch")
    checkpoint, path = checkpoints()[name]
    torch.save(checkpoint, place.path / "m.pt", pickle_protocol=protocol, _use_new_zipfile_serialization=is_zip)
    left = stripped(place, "m.pt", "optimizer")
    weights_only = protocol == 2  # of protocol 4 torch itself reads no file so
    expected = torch.load(place.path / "m.pt", weights_only=False)
    holder = expected
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    same(expected, torch.load(left, weights_only=weights_only))
    assert left.stat().st_size < 0.5 * (place.path / "m.pt").stat().st_size
    if is_zip:
        assert zipfile.ZipFile(left).testzip() is None
        same(expected, torch.load(left, weights_only=weights_only, mmap=True))


def test_a_training_checkpoint_is_a_third_of_its_size(place):
    torch = pytest.importorskip("torch")
    model = torch.nn.Linear(512, 512)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.randn(1, 512)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, place.path / "m.pt")
    left = stripped(place, "m.pt", "adam")
    assert 0.3 < left.stat().st_size / (place.path / "m.pt").stat().st_size < 0.35


def test_tensors_of_checkpoints_go_by_name(place):
    torch = pytest.importorskip("torch")
    model, _, _ = train()
    torch.save(model.state_dict(), place.path / "m.pt")
    expected = torch.load(place.path / "m.pt", weights_only=True)
    left = torch.load(stripped(place, "m.pt", "norm.running_*", "m.pt:linear.bias"), weights_only=True)
    for name in ("norm.running_mean", "norm.running_var", "linear.bias"):
        del expected[name]
    same(expected, left)
    assert left["out.weight"].data_ptr() == left["embed.weight"].data_ptr()


def test_models_without_optimizers_stay_whole(place):
    torch = pytest.importorskip("torch")
    model, optimizer, _ = train()
    for number, content in enumerate(
        (model.state_dict(), model, {"state": model.state_dict()}, optimizer.state_dict())
    ):
        torch.save(content, place.path / f"{number}.pt")
        expect_nothing_stripped(place, f"{number}.pt")


def test_what_other_parts_use_is_refused(place):
    torch = pytest.importorskip("torch")
    _, optimizer, _ = train()
    state = optimizer.state_dict()
    torch.save({"optimizer": state, "groups": state["param_groups"]}, place.path / "m.pt")
    outcome = place.run("m.pt", "--strip", "optimizer")
    assert outcome.code == 1
    assert "a part that stays uses a value" in outcome.err
    assert place.names() == ["m.pt"]


def test_nothing_in_a_pickle_is_executed(place):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(place.path / "executed"),)

    group = {"params": [0]}
    content = {
        "optimizer": {"state": {}, "param_groups": [group]},
        "evil": Evil(),
        "optimizer2": {"state": {0: Evil()}, "param_groups": [group]},
    }
    with zipfile.ZipFile(place.path / "m.pt", "w") as file:
        file.writestr("m/data.pkl", pickle.dumps(content, protocol=2))
        file.writestr("m/version", "3\n")
    assert place.run("m.pt", "--strip", "optimizer", "-f").code == 0
    assert not (place.path / "executed").exists()


# Other formats --------------------------------------------------------------------------------------------------------


def arrays():
    generator = np.random.default_rng(3)
    names = ["w", "w.exp_avg", "w.exp_avg_sq", "w.step", "bn.running_mean", "bn.num_batches_tracked", "ssm_state"]
    names += ["model.state", "optimizer.state.0.momentum_buffer"]
    return {name: generator.standard_normal((8, 4)).astype(np.float32) for name in names}


KEPT = ["w", "bn.running_mean", "bn.num_batches_tracked", "ssm_state", "model.state"]


def expect_kept(loaded):
    expected = {name: array for name, array in arrays().items() if name in KEPT}
    assert sorted(loaded) == sorted(expected)
    for name, array in expected.items():
        assert loaded[name].tobytes() == array.tobytes()
        assert loaded[name].shape == array.shape


def test_safetensors(place):
    numpy_files = pytest.importorskip("safetensors.numpy")
    import safetensors

    numpy_files.save_file(arrays(), place.path / "m.safetensors", metadata={"format": "pt", "a": "\u00e4\n"})
    left = stripped(place, "m.safetensors", "optimizer")
    expect_kept(numpy_files.load_file(left))
    with safetensors.safe_open(left, framework="np") as opened:
        assert opened.metadata() == {"format": "pt", "a": "\u00e4\n"}


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz(place, save):
    save(place.path / "m.npz", **arrays())
    left = stripped(place, "m.npz", "optimizer")
    assert zipfile.ZipFile(left).testzip() is None
    with np.load(left) as loaded:
        expect_kept({name: loaded[name] for name in loaded.files})


def test_gguf(place):
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(place.path / "m.gguf", "llama")
    writer.add_array("tokens", ["a", "b", ""])
    for name, array in arrays().items():
        writer.add_tensor(name, array[:, : 1 + len(name) % 4].copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    before = gguf.GGUFReader(place.path / "m.gguf")
    after = gguf.GGUFReader(stripped(place, "m.gguf", "*exp_avg*", "bn.*"))
    gone = {"w.exp_avg", "w.exp_avg_sq", "bn.running_mean", "bn.num_batches_tracked"}
    expected = {tensor.name: tensor for tensor in before.tensors if tensor.name not in gone}
    assert [tensor.name for tensor in after.tensors] == list(expected)
    for tensor in after.tensors:
        assert tensor.data.tobytes() == expected[tensor.name].data.tobytes()
        assert list(tensor.shape) == list(expected[tensor.name].shape)
        assert tensor.data_offset % GGUF_ALIGNMENT == 0
    assert [field for field in after.fields if not field.startswith("GGUF.")] == [
        field for field in before.fields if not field.startswith("GGUF.")
    ]


def test_the_listing_names_what_went(place):
    np.savez(place.path / "m.npz", **arrays())
    stripped(place, "m.npz", "optimizer")
    description = json.loads(place.run("list", "--json", "m.npz.fly").out)
    assert {tensor["name"] for tensor in description["stripped"]} == set(arrays()) - set(KEPT)


def test_other_files_are_archived_whole_and_told_of(place):
    place.write("notes", b"no model at all")
    expect_nothing_stripped(place, "notes", "*")
