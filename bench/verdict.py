"""A target beside what was measured."""

from dataclasses import dataclass


@dataclass
class Verdict:
    what: str
    wanted: str
    measured: str
    reached: bool
