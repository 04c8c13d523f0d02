"""The examples of docs/training.md."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import pytest

pytest.importorskip("transformers")
PAGE = pathlib.Path(__file__).parents[2] / "docs" / "training.md"


def test_the_examples_run_as_they_stand(tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", "\n".join(blocks)], cwd=tmp_path, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr[-4000:]
    steps = sorted(path.name for path in (tmp_path / "deltas").iterdir())
    assert steps == ["step-100", "step-110", "step-120"]
    assert len(list((tmp_path / "out" / "flyweight").glob("*.fly"))) >= 4
