"""What is interrupted, and what must hold afterwards: one Case a command."""

from __future__ import annotations

import dataclasses
import pathlib
import random
import struct
import subprocess
from collections.abc import Callable

PARTIAL = ".flyweight-partial"


class Broken(AssertionError):
    """Something that must hold after a crash does not."""


def require(condition: object, what: str) -> None:
    if not condition:
        raise Broken(what)


class Workspace:
    """A directory and the program in it."""

    def __init__(self, path: pathlib.Path, program: str) -> None:
        self.path = path
        self.program = program

    def run(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        command = [self.program, *arguments]
        return subprocess.run(
            command, cwd=self.path, capture_output=True, timeout=60, check=False, stdin=subprocess.DEVNULL
        )

    def must(self, *arguments: str) -> bytes:
        done = self.run(*arguments)
        require(done.returncode == 0, f"{' '.join(arguments)} fails: {done.stderr.decode('utf-8', 'replace').strip()}")
        return done.stdout

    def write(self, name: str, content: bytes) -> None:
        (self.path / name).parent.mkdir(parents=True, exist_ok=True)
        (self.path / name).write_bytes(content)

    def read(self, name: str) -> bytes | None:
        try:
            return (self.path / name).read_bytes()
        except FileNotFoundError:
            return None

    def names(self) -> set[str]:
        return {entry.name for entry in self.path.iterdir()}


@dataclasses.dataclass
class Case:
    """`prepare` fills the directory in which `command` starts; each run works on a copy. `holds` is called with what an
    interrupted run left and with how an uninterrupted one ends. Each of `again` is then run on a copy of what was left:
    it must succeed and end as the uninterrupted run does."""

    name: str
    command: list[str]
    prepare: Callable[[Workspace], None]
    holds: Callable[[Workspace, Workspace], None]
    again: list[list[str]]
    words: str = ""  # must stand in the program's help, else the case is left out
    source: str = ""  # without it there is nothing to run again
    varies: str = ""  # the archive whose bytes need not be the same each time: it holds times of last reading


def model(seed: int = 1, words: int = 700_000) -> bytes:
    """A safetensors file of three chunks of BF16 and some integers."""
    generator = random.Random(seed)
    block = b"".join(
        struct.pack(
            "<H", generator.getrandbits(1) << 15 | (118 + generator.getrandbits(3)) << 7 | generator.getrandbits(7)
        )
        for _ in range(4096)
    )
    weights = (block * (words // 4096 + 1))[: 2 * words]
    header = f'{{"w":{{"dtype":"BF16","shape":[{words}],"data_offsets":[0,{2 * words}]}},'
    header += f'"n":{{"dtype":"I64","shape":[100],"data_offsets":[{2 * words},{2 * words + 800}]}}}}'
    text = header.encode().ljust((len(header) + 7) // 8 * 8)
    return struct.pack("<Q", len(text)) + text + weights + generator.randbytes(800)


def write_model(place: Workspace) -> None:
    place.write("m", model())


def write_archive(place: Workspace) -> None:
    write_model(place)
    place.must("m", "-o", "m.fly")
    (place.path / "m").unlink()


def same(place: Workspace, whole: Workspace, name: str) -> None:
    require(place.read(name) == whole.read(name), f"{name} was changed")


def absent_or_whole(place: Workspace, whole: Workspace, name: str) -> None:
    content = place.read(name)
    require(content is None or content == whole.read(name), f"{name} is there and is not complete")


def only_known(place: Workspace, whole: Workspace, *others: str) -> None:
    extra = {name for name in place.names() - whole.names() - set(others) if not name.endswith(PARTIAL)}
    require(not extra, f"unknown files: {sorted(extra)}")


def compress_holds(place: Workspace, whole: Workspace) -> None:
    same(place, whole, "m")
    absent_or_whole(place, whole, "m.fly")
    only_known(place, whole)


def decompress_holds(place: Workspace, whole: Workspace) -> None:
    same(place, whole, "m.fly")
    absent_or_whole(place, whole, "out")
    only_known(place, whole)


def prepare_overwrite(place: Workspace) -> None:
    place.write("m", model(2))
    place.must("m", "-o", "m.fly")
    place.must("m", "-o", "old")
    write_model(place)


def overwrite_holds(place: Workspace, whole: Workspace) -> None:
    same(place, whole, "m")
    require(place.read("m.fly") in (whole.read("m.fly"), whole.read("old")), "m.fly is neither the old nor the new one")
    only_known(place, whole)


def rm_holds(place: Workspace, whole: Workspace) -> None:
    if place.read("m") is None:
        require(place.read("m.fly") == whole.read("m.fly"), "the source is gone and the archive is not complete")
    else:
        require(place.read("m") == model(), "m was changed")
    absent_or_whole(place, whole, "m.fly")
    only_known(place, whole, "m")


def split_holds(place: Workspace, whole: Workspace) -> None:
    same(place, whole, "m")
    only_known(place, whole)
    if place.read("m.fly.001") is not None:
        for name in whole.names():
            same(place, whole, name)
    else:
        done = place.run("-t", "m.fly.002") if place.read("m.fly.002") is not None else None
        require(done is None or done.returncode != 0, "parts without the first pass for an archive")


def prepare_split_overwrite(place: Workspace) -> None:
    place.write("m", model(2, 1_200_000))
    place.must("m", "-s", "300K", "-o", "m.fly")
    write_model(place)


def split_overwrite_holds(place: Workspace, whole: Workspace) -> None:
    """Between the first and the last rename neither archive is whole, but a part never passes for what it is not."""
    same(place, whole, "m")
    done = place.run("-d", "m.fly.001", "-o", "back")
    if done.returncode == 0:
        require(place.read("back") in (model(), model(2, 1_200_000)), "parts of two archives pass for one")
        (place.path / "back").unlink()
    extra = {name for name in place.names() if not name.startswith("m") and not name.endswith(PARTIAL)}
    require(not extra, f"unknown files: {sorted(extra)}")


def join_holds(place: Workspace, whole: Workspace) -> None:
    for name in whole.names() - {"out"}:
        same(place, whole, name)
    absent_or_whole(place, whole, "out")
    only_known(place, whole)


def prepare_split_archive(place: Workspace) -> None:
    write_model(place)
    place.must("m", "-s", "300K", "-o", "m.fly")
    (place.path / "m").unlink()


def prepare_damage(place: Workspace) -> None:
    write_model(place)
    place.must("compress", "m", "--recovery", "10%", "-o", "good.fly")
    damaged = bytearray(place.read("good.fly") or b"")
    damaged[10_000:12_000] = bytes(2000)
    place.write("bad.fly", bytes(damaged))


def repair_holds(place: Workspace, whole: Workspace) -> None:
    for name in ("good.fly", "bad.fly"):
        same(place, whole, name)
    absent_or_whole(place, whole, "fixed.fly")
    only_known(place, whole)


def repair_in_place_holds(place: Workspace, whole: Workspace) -> None:
    damaged = bytearray(whole.read("good.fly") or b"")
    damaged[10_000:12_000] = bytes(2000)
    require(
        place.read("bad.fly") in (bytes(damaged), whole.read("good.fly")), "bad.fly is neither as it was nor repaired"
    )
    only_known(place, whole)


def write_tree(place: Workspace) -> None:
    place.write("d/m", model())
    place.write("d/sub/small", b"small")
    place.write("d/sub/same", b"small")
    (place.path / "d/empty").mkdir()
    (place.path / "d/link").symlink_to("sub/small")


def tree_content(path: pathlib.Path) -> dict[str, object]:
    return {
        str(entry.relative_to(path)): entry.readlink() if entry.is_symlink() else entry.is_dir() or entry.read_bytes()
        for entry in sorted(path.rglob("*"))
    }


def write_tree_archive(place: Workspace) -> None:
    write_tree(place)
    place.must("compress", "d", "-o", "d.fly")


def tree_holds(place: Workspace, whole: Workspace) -> None:
    require(tree_content(place.path / "d") == tree_content(whole.path / "d"), "the source tree was changed")
    if place.read("d.fly") is not None:
        place.must("-t", "d.fly")
    if (place.path / "out").exists():
        require(tree_content(place.path / "out") == tree_content(whole.path / "d"), "out is there and is not complete")
    extra = {name for name in place.names() - whole.names() if not name.startswith(".")}
    require(not extra, f"unknown files: {sorted(extra)}")


CASES = [
    Case(
        "compress",
        ["m", "-o", "m.fly"],
        write_model,
        compress_holds,
        [["m", "-o", "m.fly"], ["m", "-f", "-o", "m.fly"]],
    ),
    Case(
        "compress-resume",
        ["compress", "m", "--resume", "-o", "m.fly"],
        write_model,
        compress_holds,
        [["compress", "m", "--resume", "-o", "m.fly"], ["m", "-f", "-o", "m.fly"]],
        "--resume",
    ),
    Case("overwrite", ["m", "-f", "-o", "m.fly"], prepare_overwrite, overwrite_holds, [["m", "-f", "-o", "m.fly"]]),
    Case("decompress", ["-d", "m.fly", "-o", "out"], write_archive, decompress_holds, [["-d", "m.fly", "-o", "out"]]),
    Case(
        "rm",
        ["compress", "--rm", "m", "-o", "m.fly"],
        write_model,
        rm_holds,
        [["compress", "--rm", "m", "-o", "m.fly"]],
        "--rm",
        "m",
    ),
    Case(
        "split",
        ["m", "-s", "300K", "-o", "m.fly"],
        write_model,
        split_holds,
        [["m", "-s", "300K", "-o", "m.fly"], ["m", "-f", "-s", "300K", "-o", "m.fly"]],
        "--split",
    ),
    Case(
        "split-overwrite",
        ["m", "-f", "-s", "300K", "-o", "m.fly"],
        prepare_split_overwrite,
        split_overwrite_holds,
        [["m", "-f", "-s", "300K", "-o", "m.fly"]],
        "--split",
    ),
    Case(
        "join",
        ["-d", "m.fly.001", "-o", "out"],
        prepare_split_archive,
        join_holds,
        [["-d", "m.fly", "-o", "out"]],
        "--split",
    ),
    Case(
        "repair",
        ["repair", "bad.fly", "-o", "fixed.fly"],
        prepare_damage,
        repair_holds,
        [["repair", "bad.fly", "-o", "fixed.fly"]],
        "--recovery",
    ),
    Case(
        "repair-in-place",
        ["repair", "bad.fly"],
        prepare_damage,
        repair_in_place_holds,
        [["repair", "bad.fly"]],
        "--recovery",
    ),
    Case(
        "tree",
        ["compress", "d", "-o", "d.fly"],
        write_tree,
        tree_holds,
        [["compress", "d", "-o", "d.fly"]],
        "directory",
        varies="d.fly",
    ),
    Case(
        "tree-restore",
        ["decompress", "d.fly", "-o", "out"],
        write_tree_archive,
        tree_holds,
        [["decompress", "d.fly", "-o", "out"]],
        "directory",
    ),
]
