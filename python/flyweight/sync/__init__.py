"""Weights on their way from a trainer to those who serve them, version after version.

`WeightPublisher` and `WeightSubscriber` send and apply flyweight's own patches, the densest. `write_version`,
`apply_version` and `pull` speak the layout that trainers and inference engines exchange today
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
from flyweight.sync._stream import (
    PartInfo,
    StoredVersion,
    WeightPublisher,
    WeightSubscriber,
    open_stored,
    prune_versions,
    stored_versions,
)

__all__ = [
    "PartInfo",
    "StoredVersion",
    "Version",
    "WeightPublisher",
    "WeightSubscriber",
    "apply_version",
    "find_chain",
    "list_versions",
    "open_stored",
    "open_version",
    "prune_versions",
    "pull",
    "pulled_version",
    "stored_versions",
    "write_version",
]
