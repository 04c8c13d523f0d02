"""flyweight.torch against safetensors.torch."""

from __future__ import annotations

import gc

import pytest

torch = pytest.importorskip("torch")

import safetensors  # noqa: E402
import safetensors.torch  # noqa: E402

import flyweight  # noqa: E402
import flyweight.torch  # noqa: E402

NAMES = (
    "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64 float16 bfloat16 float32 float64 complex64 float8_e4m3fn "
    "float8_e5m2 float8_e8m0fnu float8_e4m3fnuz float8_e5m2fnuz float4_e2m1fn_x2"
)
DTYPES = [getattr(torch, name) for name in NAMES.split() if hasattr(torch, name)]


def any_bits(dtype, shape, seed=1):
    generator = torch.Generator().manual_seed(seed)
    high = 2 if dtype == torch.bool else 256
    sample = torch.empty(shape, dtype=dtype)
    raw = torch.randint(0, high, (sample.numel() * sample.element_size(),), dtype=torch.uint8, generator=generator)
    return raw.view(dtype).reshape(shape)


def bits(tensor):
    return tensor.dtype, tensor.shape, bytes(flyweight.torch.describe(tensor.contiguous())[0])


def all_bits(tensors):
    return {name: bits(tensor) for name, tensor in tensors.items()}


@pytest.fixture
def all_tensors():
    tensors = {f"layer.{number}": any_bits(dtype, (5, 4), number) for number, dtype in enumerate(DTYPES)}
    tensors["scalar"] = torch.tensor(3.5)
    tensors["empty"] = torch.empty((0, 7), dtype=torch.float16)
    tensors["large"] = torch.randn(1500, 300).to(torch.bfloat16)
    return tensors


def test_the_file_is_that_of_safetensors(tmp_path, all_tensors):
    content = safetensors.torch.save(all_tensors, {"format": "pt"})
    assert flyweight.decompress(flyweight.torch.save(all_tensors, {"format": "pt"})) == content
    flyweight.torch.save_file(all_tensors, tmp_path / "m.fly", {"format": "pt"})
    assert flyweight.decompress((tmp_path / "m.fly").read_bytes()) == content


def test_tensors_come_back_bit_for_bit(tmp_path, all_tensors):
    flyweight.torch.save_file(all_tensors, tmp_path / "m.fly")
    safetensors.torch.save_file(all_tensors, tmp_path / "m.safetensors")
    for loaded in (
        flyweight.torch.load_file(tmp_path / "m.fly"),
        flyweight.torch.load_file(tmp_path / "m.safetensors"),
        flyweight.torch.load((tmp_path / "m.fly").read_bytes()),
    ):
        assert (
            all_bits(loaded)
            == all_bits(all_tensors)
            == all_bits(safetensors.torch.load_file(tmp_path / "m.safetensors"))
        )


@pytest.mark.parametrize("dtype", [dtype for dtype in DTYPES if "x2" not in str(dtype)], ids=str)
def test_slices_of_every_dtype(tmp_path, dtype):
    tensor = any_bits(dtype, (9, 6))
    flyweight.torch.save_file({"t": tensor}, tmp_path / "m.fly")
    numbers = tensor.view(torch.uint8).reshape(9, 6, -1)
    with flyweight.safe_open(tmp_path / "m.fly", framework="pt") as opened:
        part = opened.get_slice("t")
        for index in ((slice(2, 5),), (3,), (slice(None), slice(None, None, 2)), (..., 1), (4, 5), (slice(3, 3),)):
            expected = numbers[(*index, slice(None))] if Ellipsis in index else numbers[index]
            assert bytes(flyweight.torch.describe(part[index])[0]) == expected.contiguous().numpy().tobytes()
        assert bits(part[::-2]) == bits(tensor.view(torch.uint8).reshape(9, -1).flip(0)[::2].contiguous().view(dtype))


def test_packed_elements_are_read_whole_or_not_at_all(tmp_path):
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this torch has no 4-bit floats")
    tensor = any_bits(torch.float4_e2m1fn_x2, (4, 6))
    flyweight.torch.save_file({"t": tensor}, tmp_path / "m.fly")
    with flyweight.safe_open(tmp_path / "m.fly", framework="pt") as opened:
        assert opened.get_slice("t").get_shape() == [4, 12]
        assert bits(opened.get_slice("t")[:]) == bits(tensor)
        with pytest.raises(ValueError, match="share bytes"):
            opened.get_slice("t")[1]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_compress_takes_tensors(dtype):
    tensor = any_bits(dtype, (12, 10))
    blob = flyweight.compress(tensor)
    out = torch.empty_like(tensor)
    assert flyweight.decompress(blob, out=out) is out
    assert bits(out) == bits(tensor)
    assert flyweight.compress(bytes(flyweight.torch.describe(tensor)[0]), dtype=dtype) != b""


def test_compress_takes_tensors_that_need_gradients_or_are_conjugated():
    tensor = torch.randn(4, 5, dtype=torch.complex64, requires_grad=True)
    assert flyweight.decompress(flyweight.compress(tensor)) == tensor.detach().numpy().tobytes()
    expected = tensor.detach().conj().resolve_conj().numpy().tobytes()
    assert flyweight.decompress(flyweight.compress(tensor.conj())) == expected


def test_the_bytes_of_a_tensor_can_be_part_of_a_cycle():
    # As the frames of a traceback make it.
    cycle = [flyweight.torch.describe(torch.ones(5))[0], flyweight.torch.writable_bytes(torch.ones(5))]
    cycle.append(cycle)
    del cycle
    gc.collect()


def test_tensors_that_cannot_be_used_in_place_are_refused():
    tensor = torch.randn(4, 6)
    with pytest.raises(ValueError, match="contiguous"):
        flyweight.compress(tensor.T)
    with pytest.raises(ValueError, match="contiguous"):
        flyweight.decompress(flyweight.compress(tensor), out=torch.empty(6, 4).T)


@pytest.mark.parametrize("save", [flyweight.torch.save, safetensors.torch.save], ids=["flyweight", "safetensors"])
def test_it_refuses_what_safetensors_refuses(save):
    base = torch.randn(6, 4)
    with pytest.raises(RuntimeError, match="share memory"):
        save({"a": base, "b": base})
    with pytest.raises(RuntimeError, match="share memory"):
        save({"a": base[:4], "b": base[2:]})
    with pytest.raises(ValueError, match="contiguous"):
        save({"a": base.T})
    with pytest.raises(ValueError, match="sparse"):
        save({"a": base.to_sparse()})
    with pytest.raises(ValueError):
        save({"a": [1, 2]})
    with pytest.raises(ValueError):
        save([base])
    assert save({"a": base[:3], "b": base[3:]})


class Tied(torch.nn.Module):
    def __init__(self, seed):
        super().__init__()
        torch.manual_seed(seed)
        self.embed = torch.nn.Embedding(20, 8)
        self.body = torch.nn.Linear(8, 8)
        self.head = torch.nn.Linear(8, 20, bias=False)
        self.head.weight = self.embed.weight


def test_save_model_and_load_model_agree_with_safetensors(tmp_path):
    model = Tied(1)
    flyweight.torch.save_model(model, tmp_path / "m.fly", {"by": "me"})
    safetensors.torch.save_model(model, str(tmp_path / "m.safetensors"), {"by": "me"})
    with (
        safetensors.safe_open(tmp_path / "m.safetensors", "pt") as theirs,
        flyweight.safe_open(tmp_path / "m.fly", "pt") as ours,
    ):
        assert ours.keys() == theirs.keys()
        assert ours.metadata() == theirs.metadata()
    for path in ("m.fly", "m.safetensors"):
        other = Tied(2)
        assert flyweight.torch.load_model(other, tmp_path / path) == ([], [])
        assert all_bits(other.state_dict()) == all_bits(model.state_dict())
        assert other.head.weight is other.embed.weight


def test_load_model_reports_what_does_not_fit(tmp_path):
    flyweight.torch.save_file({"weight": torch.zeros(3, 2), "extra": torch.zeros(1)}, tmp_path / "m.fly")
    model = torch.nn.Linear(2, 3)
    assert flyweight.torch.load_model(model, tmp_path / "m.fly", strict=False) == (["bias"], ["extra"])
    with pytest.raises(RuntimeError, match=r'Missing key.*"bias"(.|\n)*Unexpected key.*"extra"'):
        flyweight.torch.load_model(model, tmp_path / "m.fly")


def test_save_model_refuses_shared_memory_that_no_tensor_covers(tmp_path):
    model = torch.nn.Module()
    base = torch.randn(10)
    model.a, model.b = torch.nn.Parameter(base[:6]), torch.nn.Parameter(base[4:])
    with pytest.raises(RuntimeError, match="share memory"):
        flyweight.torch.save_model(model, tmp_path / "m.fly")


def test_save_model_keeps_a_lone_slice_of_a_larger_storage(tmp_path):
    model = torch.nn.Module()
    model.a = torch.nn.Parameter(torch.randn(10)[:6])
    flyweight.torch.save_model(model, tmp_path / "m.fly")
    assert all_bits(flyweight.torch.load_file(tmp_path / "m.fly")) == all_bits(model.state_dict())


def test_force_contiguous_is_what_makes_a_transposed_parameter_savable(tmp_path):
    model = torch.nn.Module()
    model.a = torch.nn.Parameter(torch.randn(4, 6).T)
    with pytest.raises(ValueError, match="contiguous"):
        flyweight.torch.save_model(model, tmp_path / "m.fly", force_contiguous=False)
    flyweight.torch.save_model(model, tmp_path / "m.fly")
    assert all_bits(flyweight.torch.load_file(tmp_path / "m.fly")) == all_bits(model.state_dict())


def test_devices(tmp_path):
    flyweight.torch.save_file({"a": torch.randn(3)}, tmp_path / "m.fly")
    assert flyweight.torch.load_file(tmp_path / "m.fly", device="cpu")["a"].device == torch.device("cpu")
    assert flyweight.torch.load_file(tmp_path / "m.fly", device="meta")["a"].device == torch.device("meta")
    with pytest.raises(RuntimeError):
        flyweight.torch.load_file(tmp_path / "m.fly", device="no such device")


def test_tensors_without_data_are_refused():
    with pytest.raises((ValueError, NotImplementedError)):
        flyweight.torch.save({"a": torch.empty(3, device="meta")})
