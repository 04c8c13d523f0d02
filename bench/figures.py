"""Reads the measured seconds as figures: sizes in percent, speeds in GB/s, ratios within a round."""

from __future__ import annotations

from statistics import median

ZIPNN = ("zipnn", "zipnn-tensors")
# flyweight's default level in the tables of sizes.
BALANCED = "flyweight-balanced"

# flyweight's levels: the ways that stand for its size and decoding, and for its encoding.
TIERS = {
    "fast": ("flyweight-fast", "flyweight-fast"),
    "balanced": ("flyweight-archive", "flyweight-tensors"),
    "high": ("flyweight-high", "flyweight-high"),
    "max": ("flyweight-max", "flyweight-max"),
}

LABELS = {
    "memcpy": "memcpy",
    "zipnn": "ZipNN",
    "zipnn-tensors": "ZipNN, tensor by tensor",
    "openzl-fse": "OpenZL, FSE",
    "openzl-huffman": "OpenZL, Huffman",
    "pcodec-8": "pcodec 8",
    "pcodec-12": "pcodec 12",
    "bigsmall": "bigsmall",
    "z4ai": "z4ai",
    "blosc2-shuffle": "Blosc2, shuffle",
    "blosc2-bitshuffle": "Blosc2, bitshuffle",
    "zstd-3": "zstd -3",
    "zstd-19": "zstd -19",
}


class CaseFigures:
    """The figures of one case. `way` is a label of the results, `verb` "encode" or "decode"."""

    def __init__(self, name: str, case: dict) -> None:
        self.name = name
        self.bytes: int = case["payload_bytes"]
        self.codecs: dict[str, dict] = case["codecs"]

    def __contains__(self, way: str) -> bool:
        return way in self.codecs

    def size(self, way: str) -> float:
        """Percent of the tensor bytes."""
        return 100 * self.codecs[way]["encoded_bytes"] / self.bytes

    def seconds(self, way: str, verb: str) -> list[float]:
        return self.codecs[way][f"{verb}_s"]

    def speed(self, way: str, verb: str) -> float:
        """GB/s of tensor bytes, the median round."""
        return self.bytes / median(self.seconds(way, verb)) / 1e9

    def best(self, way: str, verb: str) -> float:
        return self.bytes / min(self.seconds(way, verb)) / 1e9

    def ratio(self, way: str, other: str, verb: str) -> float | None:
        """How many times as fast as `other`: the median of the ratios in the rounds that both took part in. None where
        one was timed only once."""
        mine, theirs = self.seconds(way, verb), self.seconds(other, verb)
        if len(mine) != len(theirs) and 1 in (len(mine), len(theirs)):
            return None
        return median(b / a for a, b in zip(mine, theirs, strict=False))

    def fastest_zipnn(self, verb: str) -> str | None:
        """ZipNN in whichever of its two ways is the faster here."""
        ways = [way for way in ZIPNN if way in self.codecs]
        return max(ways, key=lambda way: self.speed(way, verb)) if ways else None

    def over_zipnn(self, way: str, verb: str) -> float | None:
        zipnn = self.fastest_zipnn(verb)
        return None if zipnn is None else self.ratio(way, zipnn, verb)


def digits(speed: float) -> str:
    return f"{speed:.3f}" if speed < 0.1 else f"{speed:.2f}" if speed < 10 else f"{speed:.1f}"


def scaling(threads: dict, task: str) -> float:
    """Two threads against one, wall time: the median of the rounds' ratios."""
    seconds = threads["seconds"][task]
    return median(one / two for one, two in zip(seconds["1"], seconds["2"], strict=True))


def speed_of_two(threads: dict, task: str) -> float:
    """GB/s of two threads, the median round."""
    return threads["bytes"] / median(threads["seconds"][task]["2"]) / 1e9
