"""Prints what an environment with tflite-runtime instead of LiteRT needs, from pyproject.toml."""

import re
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    from pip._vendor import tomli as tomllib  # before anything is installed

_REPLACED = {"ai-edge-litert", "tflite-runtime", "numpy"}
_EXTRAS = ("tflite", "image", "test")


def main() -> None:
    path = Path(__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    kept = [one for one in project["dependencies"] if _name(one) not in _REPLACED]
    extra = [one for name in _EXTRAS for one in project["optional-dependencies"][name]]
    print("\n".join(kept + extra))


def _name(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9_.-]", requirement, maxsplit=1)[0].lower()


if __name__ == "__main__":
    main()
