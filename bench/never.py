"""Every input of a run in one list: where flyweight is larger than it ever may be, and where another is smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.figures import BALANCED, LABELS, TIERS

STORED_SHARE = 0.001
HARDLY = 0.01
STORED, ZSTD = "the input + 0.1 %", "zstd -3"


@dataclass
class Input:
    """Sizes in bytes. In `codecs` flyweight's default level is BALANCED; what could not take the input is absent."""

    name: str
    bytes: int
    codecs: dict[str, int]

    @property
    def balanced(self) -> int:
        return self.codecs[BALANCED]


@dataclass
class Excess:
    """flyweight needs `over` bytes more than it may on the input `name`."""

    name: str
    input_bytes: int
    over: int


def inputs(results: dict) -> list[Input]:
    return [found for found in _all(results) if BALANCED in found.codecs]


def excesses(results: dict) -> dict[str, tuple[int, list[Excess]]]:
    """Rule -> how many inputs it was tried on, and those that break it."""
    found: dict[str, tuple[int, list[Excess]]] = {}
    for rule in (STORED, ZSTD):
        limits = [(one, _limit(one, rule)) for one in inputs(results)]
        tried = [(one, limit) for one, limit in limits if limit is not None]
        broken = [_excess(one, limit) for one, limit in tried if one.balanced > limit]
        if tried:
            found[rule] = (len(tried), broken)
    return found


@dataclass
class Beaten:
    """Another codec needs fewer bytes than flyweight's default level; `own_best` is that of any of its levels."""

    input: Input
    peer: str
    peer_bytes: int
    own_best: int


def beaten(results: dict) -> list[Beaten]:
    """The inputs on which flyweight is not the smallest, each with the smallest codec."""
    found = []
    for one in inputs(results):
        own = min(size for codec, size in one.codecs.items() if codec.startswith("flyweight"))
        peers = {codec: size for codec, size in one.codecs.items() if not codec.startswith("flyweight")}
        best = min(peers, key=lambda codec: peers[codec], default=None)
        if best is not None and peers[best] < one.balanced:
            found.append(Beaten(one, LABELS.get(best, best), peers[best], own))
    return found


def hardly_smaller(results: dict) -> list[Input]:
    """The inputs that flyweight's default level makes smaller by less than HARDLY, if at all."""
    return [one for one in inputs(results) if one.balanced > one.bytes * (1 - HARDLY)]


def _limit(one: Input, rule: str) -> float | None:
    return one.bytes * (1 + STORED_SHARE) if rule == STORED else one.codecs.get("zstd-3")


def _excess(one: Input, limit: float) -> Excess:
    return Excess(one.name, one.bytes, one.balanced - int(limit))


def _all(results: dict) -> Iterator[Input]:
    for name, case in results["cases"].items():
        sizes = {way: codec["encoded_bytes"] for way, codec in case["codecs"].items() if way != "memcpy"}
        kept = {way: size for way, size in sizes.items() if not way.startswith("flyweight")}
        kept |= {f"flyweight-{level}": sizes[way] for level, (way, _) in TIERS.items() if way in sizes}
        yield Input(name, case["payload_bytes"], kept)
    for table, what in (("scenarios", "scenario "), ("quantised", ""), ("checkpoints", "")):
        for row in results.get(table, []):
            suffix = f", {row['dtype']}" if "dtype" in row else ""
            sizes = {codec: size for codec, size in row["codecs"].items() if size is not None}
            yield Input(f"{what}{row['name']}{suffix}", row["bytes"], sizes)
    for row in results.get("unhelpful", []):
        sizes = {BALANCED: row["flyweight"], "zstd-3": row["zstd-3"], "zstd-19": row["zstd-19"]}
        yield Input(row["name"], row["bytes"], sizes)
    large = results.get("large_file", {})
    if "runs" in large:
        sizes = {BALANCED: large["archive_bytes"]}
        if large["zstd_bytes"]:
            sizes["zstd-3"] = large["zstd_bytes"]
        yield Input("the file of 2 GB", large["file_bytes"], sizes)
