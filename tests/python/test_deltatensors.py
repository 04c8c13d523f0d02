"""flyweight.deltatensors: near-lossless deltas under the names of the package deltatensors."""

import itertools
import math

import numpy as np
import pytest

import flyweight
from flyweight import deltatensors as dt
from flyweight import numpy as fly_numpy

STRATEGIES = [
    ("int4", {"outlier_fraction": 0.01}, 0.2),
    ("int4", {"outlier_fraction": 0.0}, 0.3),
    ("sparse", {"sparsity": 0.5}, 0.5),
    ("sparse", {}, 0.8),
    ("quantized", {}, 0.7),
    ("one_bit", {}, 0.7),
    ("uniform", {"error": 0.05}, 0.05),
]


def model(seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return {
        "a.weight": rng.normal(0, 0.05, (300, 256)).astype(dtype),
        "b.weight": rng.normal(0, 0.05, (64, 128)).astype(dtype),
        "bias": rng.normal(0, 0.05, 700).astype(dtype),
        "scale": np.array(1.5, dtype),
        "one": np.array([0.25], dtype),
        "empty": np.zeros((0, 4), dtype),
        "ids": np.arange(50, dtype=np.int64) + 2**40,
    }


def tuned(base, seed=1, scale=1e-3):
    rng = np.random.default_rng(seed)
    tune = {}
    for name, array in base.items():
        moved = array + rng.normal(0, scale, array.shape) if array.dtype.kind == "f" else array + 1
        tune[name] = np.asarray(moved).astype(array.dtype)
    return tune


def distance(a, b):
    return math.sqrt(sum(float(np.square(a[n].astype(np.float64) - b[n].astype(np.float64)).sum()) for n in a))


def write(folder, state, shards=1):
    folder.mkdir()
    names = sorted(state)
    for shard in range(shards):
        part = {name: state[name] for name in names[shard::shards]}
        from safetensors.numpy import save_file

        save_file(part, folder / f"model-{shard}.safetensors")
    return folder


@pytest.mark.parametrize(("strategy", "arguments", "most"), STRATEGIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_a_delta_gives_back_nearly_the_tune_in_its_own_dtypes(tmp_path, strategy, arguments, most, dtype):
    base = model(dtype=dtype)
    tune = tuned(base)
    parent = dt.save_delta(tmp_path / "d.fly", tune, base, strategy, **arguments)
    result = dt.load_delta(tmp_path / "d.fly", base)
    assert parent == dt.hash_state_dict(base)
    assert {n: (a.dtype, a.shape) for n, a in result.items()} == {n: (a.dtype, a.shape) for n, a in tune.items()}
    assert np.array_equal(result["ids"], tune["ids"])
    floats = [name for name in tune if tune[name].dtype == dtype]
    kept = distance({n: result[n] for n in floats}, {n: tune[n] for n in floats})
    assert kept <= most * distance({n: base[n] for n in floats}, {n: tune[n] for n in floats})
    size = (tmp_path / "d.fly").stat().st_size
    assert size < 0.75 * flyweight_size(tmp_path, tune)


def flyweight_size(folder, state):
    fly_numpy.save_file(state, folder / "whole.fly")
    return (folder / "whole.fly").stat().st_size


def test_sparse_that_leaves_out_nothing_is_exact(tmp_path):
    base, tune = model(), tuned(model())
    dt.save_delta(tmp_path / "d.fly", tune, base, "sparse", sparsity=0.0)
    assert distance(dt.load_delta(tmp_path / "d.fly", base), tune) == 0


@pytest.mark.parametrize("scale", [1e-3, 1e-7, 1e-12])
def test_tiny_differences_are_no_worse(tmp_path, scale):
    base = {"w": np.zeros((64, 100), np.float32)}
    tune = tuned(base, scale=scale)
    dt.save_delta(tmp_path / "d.fly", tune, base, "int4", outlier_fraction=0.01)
    result = dt.load_delta(tmp_path / "d.fly", base)
    assert distance(result, tune) < 0.3 * distance(base, tune)


def test_special_values_and_double_precision_come_back_as_they_were(tmp_path):
    base = {"w": np.zeros((40, 50), np.float32), "d": np.full(100, 1.0)}
    tune = tuned(base)
    tune["w"][3, :4] = [np.nan, np.inf, -np.inf, 3e38]
    tune["d"] = base["d"] + 1e-12
    for strategy, arguments, _ in STRATEGIES:
        dt.save_delta(tmp_path / "d.fly", tune, base, strategy, **arguments)
        result = dt.load_delta(tmp_path / "d.fly", base)
        assert np.isnan(result["w"][3, 0]) and list(result["w"][3, 1:3]) == [np.inf, -np.inf]
        assert np.isfinite(result["w"][4:]).all()
        assert result["d"].dtype == np.float64 and np.array_equal(result["d"], tune["d"])


def test_tensors_may_come_go_and_grow_but_never_broadcast(tmp_path):
    base = {"same": np.ones((8, 16), np.float32), "gone": np.ones(5, np.float32), "grown": model()["b.weight"]}
    tune = {
        "same": np.full((1, 16), 2, np.float32),
        "new": np.arange(6, dtype=np.float32).reshape(2, 3),
        "grown": np.concatenate([base["grown"] + np.float32(1e-3), np.ones((3, 128), np.float32)]),
    }
    dt.save_delta(tmp_path / "d.fly", tune, base, "uniform", error=0.01)
    result = dt.load_delta(tmp_path / "d.fly", base)
    assert {name: array.shape for name, array in result.items()} == {n: a.shape for n, a in tune.items()}
    assert np.array_equal(result["new"], tune["new"])
    assert np.abs(result["grown"] - tune["grown"]).max() < 1e-2


def test_another_base_is_refused_with_and_without_verify(tmp_path):
    base = model()
    dt.save_delta(tmp_path / "d.fly", tuned(base), base, "int4")
    for other in (tuned(base, 9), model(7)):
        for verify in (True, False):
            with pytest.raises(flyweight.BaseMismatchError):
                dt.load_delta(tmp_path / "d.fly", other, verify)


def test_flipped_bits_are_never_silent(tmp_path):
    base = model()
    dt.save_delta(tmp_path / "d.fly", tuned(base), base, "int4")
    whole = dt.load_delta(tmp_path / "d.fly", base)
    data = bytearray((tmp_path / "d.fly").read_bytes())
    rng = np.random.default_rng(3)
    for _ in range(40):
        at = int(rng.integers(len(data)))
        data[at] ^= 1 << int(rng.integers(8))
        (tmp_path / "flipped.fly").write_bytes(data)
        try:
            result = dt.load_delta(tmp_path / "flipped.fly", base)
        except (flyweight.FlyweightError, ValueError):
            continue
        finally:
            data = bytearray((tmp_path / "d.fly").read_bytes())
        assert distance(result, whole) == 0


def test_inspect_tells_what_is_in_a_delta_without_its_base(tmp_path):
    base, tune = model(), tuned(model())
    dt.save_delta(tmp_path / "d.fly", tune, base, "int4")
    told = dt.inspect(tmp_path / "d.fly")
    assert told["strategy"] == "int4" and told["n_tensors"] == len(base)
    assert told["parent_hash"] == dt.hash_state_dict(base)
    assert told["tensors"]["a.weight"]["shape"] == [300, 256]
    assert told["tensors"]["ids"]["dtype"] == "I64" and "lossy" not in told["tensors"]["ids"]
    result = dt.load_delta(tmp_path / "d.fly", base)
    error = np.abs(result["a.weight"].astype(np.float64) - tune["a.weight"]).max()
    assert told["tensors"]["a.weight"]["max_error"] == pytest.approx(error, rel=1e-6)
    assert told["hash"] == dt.hash_state_dict(result)


def test_hashes_tell_dtype_shape_and_names_apart():
    hashes = {
        dt.hash_state_dict(state)
        for state in (
            {"a": np.zeros(4, np.float32)},
            {"a": np.zeros(4, np.int32)},
            {"a": np.zeros((2, 2), np.float32)},
            {"b": np.zeros(4, np.float32)},
            {"a": np.zeros(3, np.float32), "b": np.zeros(1, np.float32)},
        )
    }
    assert len(hashes) == 5


@pytest.mark.parametrize(("base_shards", "tune_shards"), [(1, 1), (1, 2), (3, 2)])
def test_paths_may_be_sharded_in_any_way(tmp_path, base_shards, tune_shards):
    base, tune = model(), tuned(model())
    base_dir = write(tmp_path / "base", base, base_shards)
    tune_dir = write(tmp_path / "tune", tune, tune_shards)
    (tune_dir / "optimizer.pt").write_bytes(b"not looked at")
    parent = dt.save_delta_from_paths(tmp_path / "d.fly", tune_dir, base_dir, "uniform", error=0.05)
    assert parent == dt.hash_state_dict(base)
    result = dt.load_delta_from_paths(tmp_path / "d.fly", base_dir)
    assert sorted(result) == sorted(tune)
    floats = [name for name in base if name != "ids"]
    error, change = (distance({n: a[n] for n in floats}, {n: tune[n] for n in floats}) for a in (result, base))
    assert 0 < error <= 0.05 * change
    # The same delta stands on the state dict, and on the base sharded in another way.
    again = dt.load_delta(tmp_path / "d.fly", base)
    other = dt.load_delta_from_paths(tmp_path / "d.fly", write(tmp_path / "other", base, 2))
    assert distance(again, result) == 0 and distance(other, result) == 0


def test_a_chain_of_ten_over_a_sharded_base_does_not_add_up_errors(tmp_path):
    base = {name: array for name, array in model().items() if array.dtype == np.float32}
    base_dir = write(tmp_path / "base", base, 2)
    deltas, state, first = [], base, None
    for link in range(10):
        state = tuned(state, 100 + link)
        folder = write(tmp_path / f"v{link}", state, 1 + link % 2)
        path = tmp_path / f"v{link}.fly"
        if deltas:
            # The whole lineage, or its last link, whose parents are found by their hashes.
            parents = deltas if link % 2 else deltas[-1]
            dt.save_delta_chain_from_paths(path, folder, parents, base_dir, "uniform", error=0.2)
        else:
            dt.save_delta_from_paths(path, folder, base_dir, "uniform", error=0.2)
        deltas.append(path)
        error = distance(dt.load_delta_chain(deltas, base_dir), state)
        first = first or error
        assert error < 1.2 * first
    assert distance(dt.load_delta_chain(deltas, base), dt.load_delta_chain(deltas, base_dir)) == 0
    steps = dt.inspect_chain(deltas)
    assert [entry["step"] for entry in steps] == list(range(10))
    assert all(later["parent_hash"] == earlier["hash"] for earlier, later in itertools.pairwise(steps))
    with pytest.raises(flyweight.BaseMismatchError):
        dt.load_delta_chain([deltas[1], deltas[0]], base_dir)
    with pytest.raises(ValueError):
        dt.load_delta_chain([], base_dir)


def test_what_is_not_known_is_refused(tmp_path):
    base = model()
    for strategy, arguments in [
        ("int5", {}),
        ("int4", {"sparsity": 0.5}),
        ("quantized", {"error": 0.1}),
        ("sparse", {"sparsity": 1.5}),
        ("uniform", {"error": 0.0}),
    ]:
        with pytest.raises((ValueError, flyweight.FlyweightError)):
            dt.save_delta(tmp_path / "d.fly", base, base, strategy, **arguments)
    assert not (tmp_path / "d.fly").exists()


def test_torch_state_dicts_of_bfloat16_come_back_as_such(tmp_path):
    torch = pytest.importorskip("torch")
    generator = torch.Generator().manual_seed(1)
    base = {"w": torch.randn(200, 128, generator=generator).bfloat16(), "n": torch.tensor(3.0)}
    tune = {"w": (base["w"].float() + 0.05 * torch.randn(200, 128, generator=generator)).bfloat16(), "n": base["n"]}
    tune["w"] = tune["w"].t().contiguous().t()
    dt.save_delta(tmp_path / "d.fly", tune, base, "int4")
    result = dt.load_delta(tmp_path / "d.fly", base)
    assert result["w"].dtype == torch.bfloat16 and result["w"].shape == (200, 128)
    change = (tune["w"].float() - base["w"].float()).norm()
    assert (result["w"].float() - tune["w"].float()).norm() < 0.3 * change
