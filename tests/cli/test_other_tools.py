"""Command lines that the documents of vsqz and bigsmall print, with flyweight in their place and .fly as the suffix."""

import os
import pathlib
import subprocess

import pytest
from command import PROGRAM, safetensors


def shell(place, line):
    """Runs a line of shell; `flyweight` is the program under test."""
    tools = place.path / ".tools"
    tools.mkdir(exist_ok=True)
    if not (tools / "flyweight").exists():
        (tools / "flyweight").symlink_to(PROGRAM)
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=place.path,
        env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}", "HOME": str(place.path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "panic" not in done.stderr and "Traceback" not in done.stderr
    return done


@pytest.fixture
def shelf(place, model):
    """The files and directories that the lines name."""
    optimizer = safetensors([("w", "F32", [4], bytes(16)), ("exp_avg.w", "F32", [4], bytes(16))])
    for folder in ("model", "large-model", "unsloth/Qwen2.5-7B-Instruct", "models/a", "models/b"):
        (place.path / folder).mkdir(parents=True)
        (place.path / folder / "model.safetensors").write_bytes(model)
        (place.path / folder / "config.json").write_text("{}")
    for name in ("model.safetensors", "qwen-base.gguf", "llama-3-8b-F16.gguf", "fine_tuned.safetensors"):
        place.write(name, model)
    place.write("pytorch_model.bin", optimizer)
    assert place.run("model.safetensors", "-o", "model.fly").code == 0
    return place


# The line, and a file that it makes.
WORKS = [
    ("flyweight convert model/ output.fly", "output.fly"),
    ("flyweight -l model.fly", None),
    ("flyweight info model.fly", None),
    ("flyweight convert unsloth/Qwen2.5-7B-Instruct/ qwen-7b.fly", "qwen-7b.fly"),
    ("flyweight convert llama-3-8b-F16.gguf llama-3-8b.fly && rm llama-3-8b-F16.gguf", "llama-3-8b.fly"),
    ("flyweight convert pytorch_model.bin tiny.fly", "tiny.fly"),
    ("rm model.fly; flyweight -kz9 model/", "model.fly"),
    ("flyweight -kr9z ~/models/", "models/b/model.safetensors.fly"),
    ("flyweight -krv ~/models/", "models/a/model.safetensors.fly"),
    ("flyweight -lr .", None),
    (
        'find ~/models -name "*.gguf" -o -name "*.safetensors" | while read f; do flyweight -kz "$f"; done',
        "models/b/model.safetensors.fly",
    ),
    ("flyweight -kzs 8G large-model/", "large-model.fly.001"),
    ("flyweight model.safetensors", "model.safetensors.fly"),
    ("flyweight qwen-base.gguf qwen.fly", "qwen.fly"),
    ("flyweight -d model.fly model.gguf", "model.gguf"),
    ("rm -r model; flyweight -dv model.fly", "model"),
    ("flyweight -t model.fly", None),
    ("flyweight -h", None),
    ("flyweight compress model.safetensors -o model.bs", "model.bs"),
    ("flyweight decompress model.fly -o reconstructed.safetensors", "reconstructed.safetensors"),
    ("flyweight compress model.safetensors --resume", "model.safetensors.fly"),
    ("flyweight compress model.safetensors --ecc", "model.safetensors.fly"),
    ("flyweight compress model.safetensors --storage", "model.safetensors.fly"),
    ("flyweight compress model.safetensors --balanced", "model.safetensors.fly"),
    ("flyweight compress model.safetensors --inference", "model.safetensors.fly"),
    ("flyweight scan model.safetensors", None),
    ("flyweight benchmark model.safetensors", None),
    ("flyweight stat model.fly", None),
    ("flyweight stat model.fly --tensor bias", None),
    ("flyweight verify model.fly", None),
    ("flyweight verify model.fly --fast", None),
    ("flyweight verify model.fly --sample 0.001", None),
    ("flyweight repair model.fly -o mended.fly", "mended.fly"),
    ("flyweight migrate model.fly", None),
]


@pytest.mark.parametrize("line, made", WORKS, ids=[line for line, _ in WORKS])
def test_lines_that_work(shelf, line, made):
    done = shell(shelf, line)
    assert done.returncode == 0, done.stderr
    assert made is None or (shelf.path / made).exists()
    assert "FAILED" not in done.stdout


def test_originals_are_freed_after_verifying(shelf, model):
    line = 'find ~/models -name "*.fly" | while read f; do flyweight -t "$f" && rm "${f%.fly}"; done'
    assert shell(shelf, "flyweight -kr ~/models").returncode == 0
    bad = shelf.path / "models" / "a" / "model.safetensors.fly"
    bad.write_bytes(bad.read_bytes()[:-200])
    shell(shelf, line)
    assert (shelf.path / "models" / "a" / "model.safetensors").read_bytes() == model
    assert not (shelf.path / "models" / "b" / "model.safetensors").exists()
    assert shell(shelf, "flyweight -t model.fly && rm model.safetensors").returncode == 0
    assert "model.safetensors" not in shelf.names()


def test_a_loop_that_names_every_output_alike_loses_nothing(shelf, model):
    """`${f%%.*}` of ./models/a/... is empty, so that every archive would be called .fly."""
    line = 'find . -name "*.safetensors" | while read f; do flyweight convert "$f" "${f%%.*}".fly && rm "$f"; done'
    count_before = sum(1 for _ in pathlib.Path(shelf.path).rglob("*.safetensors"))
    shell(shelf, line)
    assert sum(1 for _ in pathlib.Path(shelf.path).rglob("*.safetensors")) == count_before - 1
    assert shell(shelf, "flyweight -d .fly -o back").returncode == 0


def test_optimizer_states_are_left_out_of_what_is_archived(shelf):
    before = shelf.read("pytorch_model.bin")
    done = shell(shelf, "flyweight -kx adam pytorch_model.bin")
    assert done.returncode in (0, 2), done.stderr
    assert shelf.read("pytorch_model.bin") == before


def test_a_fine_tune_is_a_patch_on_its_base(shelf, model):
    (shelf.path / "base.safetensors").write_bytes(model)
    tuned = model[:-1] + bytes([model[-1] ^ 1])
    (shelf.path / "fine_tuned.safetensors").write_bytes(tuned)
    for line in (
        "flyweight compress fine_tuned.safetensors --delta-from base.safetensors -o patch.fly",
        "flyweight apply base.safetensors patch.fly -o reconstructed.safetensors",
        "flyweight decompress patch.fly --base base.safetensors -o again.safetensors",
    ):
        assert shell(shelf, line).returncode == 0
    assert shelf.read("reconstructed.safetensors") == shelf.read("again.safetensors") == tuned


# The line, and what the answer says.
COMES_LATER = [
    ("flyweight --diff qwen.fly qwopus.gguf -o qwopus-delta.fly", "flyweight diff A B"),
    ("flyweight --rediff qwen.fly qwopus-delta.fly -o full.gguf", "flyweight diff A B"),
    ("flyweight --serve qwen.fly qwopus-delta.fly", "there is no server"),
    ("flyweight compress model.safetensors --use-v8-codec", "leave the option out"),
]


@pytest.mark.parametrize("line, answer", COMES_LATER, ids=[line for line, _ in COMES_LATER])
def test_lines_that_are_refused(shelf, line, answer):
    before = shelf.names()
    done = shell(shelf, line)
    assert done.returncode == 2 and answer in done.stderr and done.stderr.count("\n") == 1
    assert [name for name in shelf.names() if name != ".tools"] == before


def test_auto_delta_looks_for_the_base_beside_the_source(shelf):
    done = shell(shelf, "flyweight compress fine_tuned.safetensors --auto-delta")
    assert done.returncode == 0 and done.stderr.count("\n") == 1
    assert "looked at" in done.stderr
    assert "fine_tuned.safetensors.fly" in shelf.names()
