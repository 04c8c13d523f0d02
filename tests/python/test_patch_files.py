"""Patches of files, and several models in memory at once."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

import flyweight
from conftest import bits, weights

State = dict[str, np.ndarray]


def base_state() -> State:
    state = {f"layer.{i}.weight": weights("BF16", (200, 300), i) for i in range(4)}
    state["norm"] = weights("F32", (300,), 9)
    state["scalar"] = np.array(7, np.int64)
    return state


def tuned(state: State, names: tuple[str, ...], seed: int) -> State:
    """Some elements of the named tensors move."""
    random = np.random.default_rng(seed)
    result = {name: array.copy() for name, array in state.items()}
    for name in names:
        words = result[name].view(np.uint16)
        words[random.random(words.shape) < 0.02] ^= 1
    return result


@pytest.fixture
def models(tmp_path: Path) -> dict[str, State]:
    """A base and variants; one of them a chain of two patches. The files and the patches lie in the folder."""
    states = {"base": base_state()}
    states["a"] = tuned(states["base"], ("layer.0.weight",), 1)
    states["b"] = tuned(states["base"], ("layer.1.weight", "norm"), 2)
    states["c1"] = tuned(states["base"], ("layer.2.weight",), 3)
    states["c2"] = tuned(states["c1"], ("layer.0.weight", "norm"), 4)
    for name, state in states.items():
        save_file(state, tmp_path / f"{name}.safetensors")
    base = tmp_path / "base.safetensors"
    for name, bases in (("a", [base]), ("b", [base]), ("c1", [base]), ("c2", [base, tmp_path / "c1.fly"])):
        flyweight.compress_file(tmp_path / f"{name}.safetensors", tmp_path / f"{name}.fly", base=bases)
    return states


def assert_same(left: State, right: State) -> None:
    assert {name: bits(array) for name, array in left.items()} == {name: bits(array) for name, array in right.items()}


def test_a_patch_is_small_and_restores_its_file(tmp_path: Path, models: dict[str, State]) -> None:
    base = tmp_path / "base.safetensors"
    original = (tmp_path / "a.safetensors").read_bytes()
    assert (tmp_path / "a.fly").stat().st_size < len(original) / 20
    summary = flyweight.apply(base, tmp_path / "a.fly", tmp_path / "out")
    assert summary["file_bytes"] == len(original)
    assert (tmp_path / "out").read_bytes() == original
    flyweight.decompress_file(tmp_path / "a.fly", tmp_path / "out2", base=base)
    assert (tmp_path / "out2").read_bytes() == original
    flyweight.apply(str(base), [tmp_path / "c1.fly", tmp_path / "c2.fly"], tmp_path / "out3")
    assert (tmp_path / "out3").read_bytes() == (tmp_path / "c2.safetensors").read_bytes()
    with pytest.raises(FileExistsError):
        flyweight.apply(base, tmp_path / "a.fly", tmp_path / "out")
    flyweight.apply(base, tmp_path / "b.fly", tmp_path / "out", overwrite=True)
    assert (tmp_path / "out").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_the_wrong_base_is_an_error_before_anything_is_written(tmp_path: Path, models: dict[str, State]) -> None:
    base, out = tmp_path / "base.safetensors", tmp_path / "out"
    for wrong in (tmp_path / "b.safetensors", tmp_path / "c1.safetensors"):
        with pytest.raises(flyweight.BaseMismatchError):
            flyweight.apply(wrong, tmp_path / "a.fly" if wrong.name[0] == "c" else tmp_path / "b.fly", out)
    with pytest.raises(flyweight.BaseMismatchError):
        flyweight.decompress_file(tmp_path / "a.fly", out)
    with pytest.raises(flyweight.BaseMismatchError):
        flyweight.apply(base, [tmp_path / "c2.fly", tmp_path / "c1.fly"], out)
    assert not out.exists()


@pytest.mark.parametrize("framework", ("np", "pt"))
def test_tensors_of_a_patch_open_with_its_base(tmp_path: Path, models: dict[str, State], framework: str) -> None:
    if framework == "pt":
        pytest.importorskip("torch")
    base = tmp_path / "base.safetensors"
    with flyweight.safe_open(tmp_path / "a.fly", framework, base=base) as opened:
        assert opened.keys() == sorted(models["a"])
        tensor = opened.get_tensor("norm")
        assert np.asarray(tensor).tobytes() == models["a"]["norm"].tobytes()
        assert opened.metadata() is None
    if framework == "np":
        assert_same(flyweight.numpy.load_file(tmp_path / "a.fly", base=base), models["a"])
        chain = [base, tmp_path / "c1.fly"]
        assert_same(flyweight.numpy.load_file(tmp_path / "c2.fly", base=chain), models["c2"])
    else:
        assert set(flyweight.torch.load_file(tmp_path / "a.fly", base=base)) == set(models["a"])
    with flyweight.safe_open(tmp_path / "a.fly", framework) as opened, pytest.raises(flyweight.BaseMismatchError):
        opened.get_tensor("layer.0.weight")


def test_verify_says_whether_it_had_the_base(tmp_path: Path, models: dict[str, State]) -> None:
    alone = flyweight.verify(tmp_path / "a.fly")
    assert alone["lacks_base"]
    whole = flyweight.verify(tmp_path / "a.fly", base=tmp_path / "base.safetensors")
    assert not whole["lacks_base"]
    with pytest.raises(flyweight.BaseMismatchError):
        flyweight.verify(tmp_path / "a.fly", base=tmp_path / "a.safetensors")
    content = bytearray((tmp_path / "a.fly").read_bytes())
    content[80] ^= 1
    (tmp_path / "broken.fly").write_bytes(content)
    with pytest.raises(flyweight.FlyweightError):
        flyweight.verify(tmp_path / "broken.fly")


def test_identity_is_that_of_the_tensors(tmp_path: Path, models: dict[str, State]) -> None:
    base = tmp_path / "base.safetensors"
    save_file(dict(reversed(models["a"].items())), tmp_path / "again.safetensors", {"note": "other metadata"})
    flyweight.compress_file(tmp_path / "a.safetensors", tmp_path / "whole.fly")
    found = flyweight.identity(tmp_path / "a.safetensors")
    assert len(found) == 64
    for paths in ((tmp_path / "again.safetensors",), (tmp_path / "whole.fly",), (base, tmp_path / "a.fly")):
        assert flyweight.identity(*paths) == found
    assert flyweight.identity(base) != found


def test_diff_tells_what_became_of_each_tensor(tmp_path: Path, models: dict[str, State]) -> None:
    report = flyweight.diff(tmp_path / "base.safetensors", tmp_path / "b.safetensors")
    kinds = {row["name"]: row["kind"] for row in report["tensors"]}
    assert not report["same"]
    assert {name for name, kind in kinds.items() if kind == "changed"} == {"layer.1.weight", "norm"}
    changed = next(row for row in report["tensors"] if row["name"] == "layer.1.weight")
    assert changed["dtype"] == "BF16" and changed["shape"] == (200, 300)
    assert 0.01 < changed["changed"] / changed["compared"] < 0.03
    assert flyweight.diff(tmp_path / "a.safetensors", tmp_path / "a.safetensors")["same"]
    only = flyweight.diff(tmp_path / "base.safetensors", tmp_path / "b.safetensors", tensors=["norm"])
    assert [row["name"] for row in only["tensors"]] == ["norm"]


def open_family(tmp_path: Path, framework: str = "np") -> flyweight.open_many:
    patches = [tmp_path / "a.fly", str(tmp_path / "b.fly"), [tmp_path / "c1.fly", tmp_path / "c2.fly"]]
    return flyweight.open_many(tmp_path / "base.safetensors", patches, framework)


def test_open_many_gives_every_variant(tmp_path: Path, models: dict[str, State]) -> None:
    family = open_family(tmp_path)
    assert len(family) == 3
    for state, name in zip((family.base, *family), ("base", "a", "b", "c2"), strict=True):
        assert_same(dict(state), models[name])
    with pytest.raises(KeyError):
        family[0]["nothing"]


def test_what_variants_share_is_one_object_and_decoded_when_asked_for(tmp_path: Path, models: dict[str, State]) -> None:
    family = open_family(tmp_path)
    assert family.held_bytes() == 0
    a, b, c = family
    assert a["layer.3.weight"] is b["layer.3.weight"] is c["layer.3.weight"] is family.base["layer.3.weight"]
    assert family.held_bytes() == models["base"]["layer.3.weight"].nbytes
    assert a.is_shared("layer.3.weight") and not a.is_shared("layer.0.weight")
    assert a["layer.0.weight"] is not family.base["layer.0.weight"]
    family.load()
    naive = 4 * sum(array.nbytes for array in models["base"].values())
    own = 4 * models["base"]["layer.0.weight"].nbytes + 2 * models["base"]["norm"].nbytes
    own += models["base"]["scalar"].nbytes  # so small a tensor is in the patch itself
    assert family.naive_bytes() == naive
    assert family.held_bytes() == family.whole_bytes() == naive / 4 + own


def test_equal_tensors_of_two_patches_are_one(tmp_path: Path, models: dict[str, State]) -> None:
    base = tmp_path / "base.safetensors"
    family = flyweight.open_many(base, [tmp_path / "a.fly", tmp_path / "a.fly"])
    assert family[0]["layer.0.weight"] is family[1]["layer.0.weight"]


def test_shared_arrays_are_read_only(tmp_path: Path, models: dict[str, State]) -> None:
    family = open_family(tmp_path)
    for state in (family.base, *family):
        for name in state:
            assert not state[name].flags.writeable
    copy = family[0]["norm"].copy()
    copy[0] = 1
    assert_same({"norm": family[0]["norm"]}, {"norm": models["a"]["norm"]})


def test_many_threads_decode_each_tensor_to_one_object(tmp_path: Path, models: dict[str, State]) -> None:
    family = open_family(tmp_path)
    found: list[list[int]] = []

    def read() -> None:
        found.append([id(state[name]) for state in family for name in state])

    threads = [threading.Thread(target=read) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6 and all(ids == found[0] for ids in found)


def test_torch_tensors_share_their_storage(tmp_path: Path, models: dict[str, State]) -> None:
    torch = pytest.importorskip("torch")
    family = open_family(tmp_path, "pt")
    assert family[0]["norm"].data_ptr() == family.base["norm"].data_ptr() != family[1]["norm"].data_ptr()
    assert torch.equal(family[1]["norm"], torch.from_numpy(models["b"]["norm"]))


def test_a_sharded_base_and_a_patch_of_another_base(tmp_path: Path, models: dict[str, State]) -> None:
    folder = tmp_path / "sharded"
    folder.mkdir()
    names = sorted(models["base"])
    save_file({name: models["base"][name] for name in names[:3]}, folder / "model-00001-of-00002.safetensors")
    save_file({name: models["base"][name] for name in names[3:]}, folder / "model-00002-of-00002.safetensors")
    flyweight.compress_file(tmp_path / "a.safetensors", tmp_path / "sharded.fly", base=folder)
    family = flyweight.open_many(folder, [tmp_path / "sharded.fly"])
    assert_same(dict(family[0]), models["a"])
    second = flyweight.open_many(tmp_path / "c1.safetensors", [tmp_path / "c2.fly"])
    assert_same(dict(second[0]), models["c2"])
    with pytest.raises(flyweight.BaseMismatchError):
        flyweight.open_many(tmp_path / "b.safetensors", [tmp_path / "a.fly"])[0]["layer.0.weight"]


def test_open_many_gives_nothing_of_a_base_that_is_another(tmp_path: Path) -> None:
    state = {"stays": weights("F32", (300, 400), 1), "moves": weights("BF16", (200, 300), 2)}
    save_file(state, tmp_path / "base.safetensors")
    save_file(tuned(state, ("moves",), 1), tmp_path / "a.safetensors")
    base = tmp_path / "base.safetensors"
    flyweight.compress_file(tmp_path / "a.safetensors", tmp_path / "a.fly", base=base)
    state["stays"].view(np.uint8).reshape(-1)[20000] ^= 1  # between the samples
    save_file(state, base)
    family = flyweight.open_many(base, [tmp_path / "a.fly"])
    assert bits(family.base["stays"]) == bits(state["stays"])
    for _ in range(2):
        with pytest.raises(flyweight.BaseMismatchError):
            family[0]["stays"]
    # An archive tells the digests of its tensors, so that it is not read to see it.
    flyweight.compress_file(base, tmp_path / "base.fly")
    with pytest.raises(flyweight.BaseMismatchError):
        flyweight.open_many(tmp_path / "base.fly", [tmp_path / "a.fly"])[0]["stays"]
