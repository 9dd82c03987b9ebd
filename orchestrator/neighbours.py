"""Takes the other three packages from beside this one, whatever else has their names."""

from __future__ import annotations

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

_NEIGHBOURS = ("agents", "surrogate", "oracle")


def import_neighbours() -> None:
    """Import the packages below this one, which import nothing by themselves.

    Their names are common: a user's ``agents.py`` in the working folder, which Python and Ray look
    through first, must not be taken for one of them. The folder itself stays on the path, where
    calculators given by their import path are looked for.
    """
    folder = str(Path(__file__).resolve().parents[1])
    for name in _NEIGHBOURS:
        spec = None if name in sys.modules else PathFinder.find_spec(name, [folder])
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            sys.modules[name] = module
            spec.loader.exec_module(module)
