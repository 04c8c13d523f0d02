"""Weights on their way from a trainer to those who serve them, version after version.

`write_version`, `apply_version` and `pull` speak the layout that trainers and inference engines exchange today
(weight_v000012/model-00000-of-00001.safetensors with zstd frames of differences).
"""

from __future__ import annotations

from flyweight.sync._layout import (
    Version,
    apply_version,
    find_chain,
    list_versions,
    open_version,
    pull,
    pulled_version,
    write_version,
)

__all__ = [
    "Version",
    "apply_version",
    "find_chain",
    "list_versions",
    "open_version",
    "pull",
    "pulled_version",
    "write_version",
]
