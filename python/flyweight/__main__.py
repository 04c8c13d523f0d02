"""python -m flyweight: the command `flyweight` of this installation."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig


def main() -> int:
    """Becomes the command; returns only where there is none."""
    places = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", os.defpath)])
    command = shutil.which("flyweight", path=places)
    if command is None:
        print("flyweight: the command is not installed beside this Python", file=sys.stderr)
        return 1
    os.execv(command, ["flyweight", *sys.argv[1:]])


if __name__ == "__main__":
    sys.exit(main())
