"""What the figures were measured on: the processor and the versions, nothing that names the machine."""

from __future__ import annotations

import datetime
import os
import platform
import re
from importlib import metadata
from pathlib import Path

PEER_PACKAGES = (
    "zipnn",
    "zstandard",
    "pcodec",
    "openzl",
    "bigsmall",
    "z4ai",
    "blosc2",
    "gguf",
    "numpy",
    "safetensors",
    "torch",
    "xxhash",
)
ISA_FLAGS = ("avx2", "avx512f", "avx512bw", "avx512vbmi", "avx512_vbmi2", "sha_ni", "neon", "asimd")


def describe() -> dict:
    cpu_info = Path("/proc/cpuinfo").read_text(errors="replace") if Path("/proc/cpuinfo").exists() else ""
    flags = set(_field(cpu_info, "flags").split()) | set(_field(cpu_info, "Features").split())
    family, model = _field(cpu_info, "cpu family"), _field(cpu_info, "model")
    return {
        "cpu": _field(cpu_info, "model name") or platform.machine(),
        "cpu_model": f"family {family}, model {model}" if family else "",
        "cpus": len(os.sched_getaffinity(0)),
        "isa": [flag for flag in ISA_FLAGS if flag in flags],
        "cache": _caches(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release().split('-')[0]}, {' '.join(platform.libc_ver())}",
        "python": platform.python_version(),
        "date": datetime.date.today().isoformat(),
        "load_before": round(os.getloadavg()[0], 2),
        "versions": {name: metadata.version(name) for name in ("flyweight", *PEER_PACKAGES) if _installed(name)},
    }


def _field(cpu_info: str, name: str) -> str:
    match = re.search(rf"^{re.escape(name)}\s*:\s*(.*)$", cpu_info, re.MULTILINE)
    return match.group(1).strip() if match else ""


def _caches() -> str:
    parts = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            parts.append(f"L{level} {size}")
    return ", ".join(parts)


def _installed(name: str) -> bool:
    try:
        metadata.version(name)
        return True
    except metadata.PackageNotFoundError:
        return False
