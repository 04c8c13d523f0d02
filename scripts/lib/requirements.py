"""Prints the requirements that pyproject.toml declares, one a line: `requirements.py build|run|EXTRA`."""

import pathlib
import sys

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    which = sys.argv[1]
    if which == "build":
        declared = project["build-system"]["requires"]
    elif which == "run":
        declared = project["project"].get("dependencies", [])
    else:
        declared = project["project"]["optional-dependencies"][which]
    print("\n".join(declared))


main()
