"""One adapter a codec, all with the interface of `bench.codecs.base.Codec`.

`make(name)` imports the adapter's module, so that a worker loads only the packages of the codec it measures.
"""

from __future__ import annotations

import importlib

from bench.codecs.base import Codec

# name -> (module, arguments of its Codec class). The order is the order of the tables.
CODECS: dict[str, tuple[str, dict]] = {
    "memcpy": ("memcpy", {}),
    "flyweight-archive": ("flyweight_archive", {"sha256": False}),
    "flyweight-sha256": ("flyweight_archive", {"sha256": True}),
    "flyweight-tensors": ("flyweight_tensors", {}),
    "flyweight-fast": ("flyweight_tier", {"level": "fast"}),
    "flyweight-high": ("flyweight_tier", {"level": "high"}),
    "flyweight-max": ("flyweight_tier", {"level": "max"}),
    "flyweight-patch": ("flyweight_patch", {"in_place": False}),
    "flyweight-patch-in-place": ("flyweight_patch", {"in_place": True}),
    "zstd-xor": ("zstd_xor", {}),
    "zipnn": ("zipnn", {"per_tensor": False}),
    "zipnn-tensors": ("zipnn", {"per_tensor": True}),
    "openzl-fse": ("openzl", {"coder": "fse"}),
    "openzl-huffman": ("openzl", {"coder": "huffman"}),
    "pcodec-8": ("pcodec", {"level": 8}),
    "pcodec-12": ("pcodec", {"level": 12}),
    "bigsmall": ("bigsmall", {}),
    "z4ai": ("z4ai", {}),
    "blosc2-shuffle": ("blosc2", {"shuffle": "shuffle", "level": 1}),
    "blosc2-bitshuffle": ("blosc2", {"shuffle": "bitshuffle", "level": 5}),
    "zstd-3": ("zstd", {"level": 3}),
    "zstd-19": ("zstd", {"level": 19}),
}


def make(name: str) -> Codec:
    module, arguments = CODECS[name]
    return importlib.import_module(f"bench.codecs.{module}").make(**arguments)
