"""Directories, several inputs, names of outputs, -r, --rm."""

import json
import os
import stat

import pytest
from command import bf16_weights, expect_problem, safetensors


@pytest.fixture
def directory(place, model):
    """A directory as people have them: files, links of every kind, an empty directory, odd modes and times."""
    root = place.path / "model"
    (root / "sub" / "empty").mkdir(parents=True)
    (root / "m.safetensors").write_bytes(model)
    (root / "sub" / "n.safetensors").write_bytes(safetensors([("bias", "F32", [2], b"\0\0\x80\x3f" * 2)]))
    (root / "config.json").write_text('{"hidden_size": 64}')
    (root / "link").symlink_to("config.json")
    (root / "dangling.safetensors").symlink_to("/nowhere/at all")
    os.link(root / "config.json", root / "hard")
    os.chmod(root / "config.json", 0o440)
    os.chmod(root / "m.safetensors", 0o4755)
    os.utime(root / "m.safetensors", ns=(10**18, 1_234_567_890_123_456_789))
    os.utime(root / "sub", ns=(10**18, 987_654_321_000_000_001))
    return root


def entries(root):
    """What a tree holds, by path: kind, mode, time, content."""
    found = {}
    for folder, folders, names in os.walk(os.fsencode(root)):
        for name in [*folders, *names, b"."]:
            path = os.path.join(folder, name)
            status = os.lstat(path)
            content = None
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    content = file.read()
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(path)
            key = os.path.relpath(path, os.fsencode(root))
            found[key] = (status.st_mode, status.st_mtime_ns, status.st_nlink, content)
    return found


def test_a_directory_comes_back_as_it_was(place, directory):
    before = entries(directory)
    assert place.run("compress", "model", "-o", "x.fly").code == 0
    assert place.run("verify", "x.fly").code == 0
    assert place.run("decompress", "x.fly", "-o", "out").code == 0
    assert entries(place.path / "out") == before
    assert entries(directory) == before


@pytest.mark.parametrize("name", ["model", "model/", "./model//"])
def test_the_archive_of_a_directory_stands_beside_it(place, directory, name):
    assert place.run(name).code == 0
    assert place.names() == ["model", "model.fly"]
    os.rename(directory, place.path / "before")
    assert place.run("-d", "model.fly").code == 0
    assert entries(directory) == entries(place.path / "before")


def test_a_name_that_is_no_name_needs_an_output(place, directory):
    for name in (".", "..", "model/.."):
        expect_problem(place.run("compress", name), 2, r"flyweight: .*: has no name .*; name the archive with -o")
    assert place.names() == ["model"]


def test_several_inputs_with_one_output_are_one_archive(place, model):
    place.write("a", model)
    place.write("b", model)
    assert place.run("a", "b", "-o", "ab.fly").code == 0
    assert place.run("-d", "ab.fly").code == 0
    assert (place.path / "ab" / "a").read_bytes() == model == (place.path / "ab" / "b").read_bytes()
    assert len(place.read("ab.fly")) < 1.5 * len(model), "equal files are stored once"
    assert place.run("-c", "a", "b").out_bytes == place.read("ab.fly")


def test_several_inputs_without_output_are_one_archive_each(place):
    for name in ("a", "b"):
        place.write(name, name.encode() * 50)
    assert place.run("a", "b").code == 0
    assert place.names() == ["a", "a.fly", "b", "b.fly"]


def test_output_directories(place, directory, model):
    (place.path / "out").mkdir()
    place.write("a", model)
    assert place.run("a", "model", "-o", "out").code == 0
    assert sorted(os.listdir(place.path / "out")) == ["a.fly", "model.fly"]
    assert place.run("-d", "out/a.fly", "out/model.fly", "-o", "out/").code == 0
    assert sorted(os.listdir(place.path / "out")) == ["a", "a.fly", "model", "model.fly"]
    (place.path / "empty").mkdir()
    assert place.run("-d", "out/model.fly", "-o", "empty").code == 0
    assert "config.json" in os.listdir(place.path / "empty")
    assert place.run("-d", "out/model.fly", "-o", "empty").code == 2
    assert place.run("-d", "out/a.fly", "-o", "nowhere/").code == 1
    outcome = place.run("-d", "out/a.fly", "out/model.fly", "-o", "x")
    assert outcome.code == 2 and "2 inputs" in outcome.err


def test_two_names(place, model):
    place.write("a", model)
    assert place.run("a", "named.fly").code == 0
    assert place.names() == ["a", "named.fly"]
    assert place.run("-d", "named.fly", "back").code == 0
    assert place.read("back") == model
    # The output is there now: both names are inputs, and neither is harmed.
    before = place.read("named.fly")
    assert place.run("a", "named.fly").code == 2
    assert place.names() == ["a", "a.fly", "back", "named.fly"] and place.read("named.fly") == before
    # Two archives are two inputs, also where one of them is missing.
    assert place.run("-df", "a.fly", "named.fly").code == 0
    assert place.read("named") == model
    outcome = place.run("-d", "named.fly", "missing.fly")
    assert outcome.code == 1 and "missing.fly: cannot open" in outcome.err


def test_convert_goes_both_ways(place, model):
    place.write("a", model)
    assert place.run("convert", "a", "a.fly").code == 0
    assert place.run("convert", "a.fly", "back").code == 0
    assert place.read("back") == model
    place.write("keep.fly", b"precious")
    assert place.run("convert", "a", "keep.fly").code == 2
    assert place.read("keep.fly") == b"precious"
    assert place.run("convert", "a").code == 2
    place.write("convert", model)
    assert place.run("./convert").code == 0 and "convert.fly" in place.names()


def test_recursion(place, directory, model):
    (directory / "notes.txt").write_text("no model")
    outcome = place.run("-kr", "model")
    assert (outcome.code, outcome.err) == (0, "")
    assert sorted(os.listdir(directory)) == [
        "config.json", "dangling.safetensors", "hard", "link", "m.safetensors", "m.safetensors.fly", "notes.txt", "sub",
    ]  # fmt: skip
    assert sorted(os.listdir(directory / "sub")) == ["empty", "n.safetensors", "n.safetensors.fly"]
    before = entries(directory)
    outcome = place.run("-kr9z", "model")
    assert outcome.code == 2 and len(outcome.lines) == 2
    assert entries(directory) == before
    assert place.run("-tr", "model").code == 0
    assert "n.safetensors.fly" in place.run("-lr", "model").out
    os.remove(directory / "m.safetensors")
    os.remove(directory / "sub" / "n.safetensors")
    assert place.run("-dr", "model").code == 0
    assert (directory / "m.safetensors").read_bytes() == model
    expect_problem(place.run("-r", "model/sub/empty"), 2, r"flyweight: model/sub/empty: holds no model files")


def test_a_source_is_removed_only_by_rm(place, directory, model):
    place.write("a", model)
    for words in (["a"], ["-f", "a"], ["-qf", "a"], ["-9f", "a"], ["-df", "a.fly"]):
        assert place.run(*words).code == 0
        assert place.read("a") == model
    expect_problem(place.run("--rm", "a"), 2, r"flyweight: a\.fly: already exists, and may be the only copy .*")
    expect_problem(place.run("--rm", "-f", "a"), 1, r"flyweight: a: .*may be the only copy of what it holds.*")
    assert place.read("a") == model
    (place.path / "a.fly").unlink()
    assert place.run("--rm", "a").code == 0
    assert place.names() == ["a.fly", "model"]
    assert place.run("-d", "a.fly").code == 0 and place.read("a") == model
    before = entries(directory)
    assert place.run("--rm", "model").code == 0
    assert "model" not in place.names()
    assert place.run("-d", "model.fly").code == 0
    assert entries(directory) == before


def test_rm_leaves_links_alone(place, model):
    place.write("a", model)
    os.link(place.path / "a", place.path / "other")
    (place.path / "link").symlink_to("a")
    expect_problem(place.run("--rm", "link"), 1, r"flyweight: link: is a symbolic link, .*")
    expect_problem(place.run("--rm", "other"), 2, r"flyweight: other: has other hard links, .*")
    assert place.names() == ["a", "link", "other"]
    assert place.run("--rm", "-f", "other").code == 0
    assert place.names() == ["a", "link", "other.fly"]


def test_rm_and_a_full_disk(place):
    import resource

    place.write("a", os.urandom(1 << 21))
    outcome = place.run("--rm", "a", preexec=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20)))
    assert outcome.code == 1 and place.names() == ["a"]


def test_what_cannot_be_archived_is_named_and_the_rest_is_there(place, directory):
    os.mkfifo(directory / "pipe")
    outcome = place.run("compress", "model")
    assert outcome.code == 2 and len(outcome.lines) == 1 and "pipe" in outcome.err
    assert place.run("-d", "model.fly", "-o", "out").code == 0
    assert (place.path / "out" / "config.json").exists()


def test_listing_a_tree(place, directory):
    place.run("model")
    out = place.run("-l", "model.fly").out
    assert "link -> config.json" in out and "-rwsr-xr-x" in out and "sub/empty/" in out
    assert "hard = config.json" in out or "config.json = hard" in out
    assert "m.safetensors:embed.weight" in place.run("list", "-v", "model.fly").out
    report = json.loads(place.run("list", "--json", "model.fly").out)
    assert report["is_tree"] is True and report["file_count"] == len(report["files"])
    by_name = {file["name"]: file for file in report["files"]}
    assert by_name["m.safetensors"]["mode"] == "4755"
    assert by_name["m.safetensors"]["modified"] == "2009-02-13T23:31:30.123456789Z"
    assert by_name["dangling.safetensors"]["link_target"] == "/nowhere/at all"
    assert by_name["sub/empty"]["kind"] == "directory"
    assert {tensor["file"] for tensor in report["tensors"]} == {"m.safetensors", "sub/n.safetensors"}
    info = place.run("info", "model.fly").out
    assert "tree      3 files, 3 directories, 2 symbolic links, 1 hard link" in info


def test_equal_names_in_two_files_are_two_tensors(place, directory):
    place.run("model")
    names = place.run("list", "-v", "model.fly").out
    assert "m.safetensors:bias" in names and "sub/n.safetensors:bias" in names


def test_names_of_any_bytes(place):
    root = os.fsencode(place.path) + b"/d"
    os.mkdir(root)
    names = [b"\xff\xfe", b"new\nline", b"\x1b[31mred", b"back\\slash", b"caf\xc3\xa9", b"-k", b" "]
    for name in names:
        with open(root + b"/" + name, "wb") as file:
            file.write(name)
    before = entries(place.path / "d")
    assert place.run("d").code == 0
    out = place.run("list", "d.fly").out
    assert "\\xff\\xfe" in out and "\\x1b[31mred" in out and "\x1b" not in out and "back\\\\slash" in out
    assert place.run("-d", "d.fly", "-o", "out").code == 0
    assert entries(place.path / "out") == before


def test_max_output(place, directory):
    place.run("model")
    outcome = place.run("-d", "model.fly", "-o", "out", "--max-output", "1K")
    assert outcome.code == 1 and "limit" in outcome.err and "out" not in place.names()
    assert place.run("-d", "model.fly", "-o", "out", "--max-output", "1M").code == 0


def test_dry_run_touches_nothing(place, directory):
    outcome = place.run("compress", "--dry-run", "--rm", "model")
    assert (outcome.code, outcome.out) == (0, "model -> model.fly\n")
    assert place.names() == ["model"]
    place.run("model")
    assert place.run("compress", "--dry-run", "model").code == 2
    assert json.loads(place.run("-d", "--dry-run", "--json", "model.fly", "-o", "x").out)["target"] == "x"
    assert place.names() == ["model", "model.fly"]


def test_shared_weights_are_stored_once(place):
    weights = bf16_weights(1 << 16)
    (place.path / "d").mkdir()
    for name in ("a", "b"):
        content = safetensors([(name, "BF16", [1 << 16], weights)])
        (place.path / "d" / f"{name}.safetensors").write_bytes(content)
    place.run("d")
    assert len(place.read("d.fly")) < len(weights)
    stat_report = json.loads(place.run("stat", "--json", "d.fly").out)
    assert sorted(tensor["is_shared"] for tensor in stat_report["tensors"]) == [False, True]
