"""DPA4 from deepmd-kit, whose compiled operators are for one release of torch only."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import sys
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from ase.calculators.calculator import Calculator

from oracle.runtime.errors import SetupError

RELEASES = ("3.2.",)
"""Releases of deepmd-kit with which DPA4 was checked without the compiled operators."""


def dpa4(path: Path) -> Calculator:
    """DPA4 from a file of weights.

    Forces are single precision. They repeat to the bit within a process, and within 1e-7 eV/Å from
    one to the next, since the order in which the matrix library adds depends on where arrays lie.

    Raises:
        SetupError: another release of deepmd-kit is installed.
    """
    _skip_compiled_operators()
    with warnings.catch_warnings(), _without_compiler():
        warnings.simplefilter("ignore")
        from deepmd.calculator import DP

        return DP(str(path))


@contextlib.contextmanager
def _without_compiler() -> Iterator[None]:
    """Leave out what deepmd-kit imports for torch's compiler and for making its own tables.

    One function of e3nn and deepmd-kit is marked to be compiled, for GPUs, and one never to be; the
    model adjusts the compiler for graphs of its own, and tables of elements are made by mendeleev,
    with pandas and SQLAlchemy. DPA4 uses none of this here, and importing it takes as long as
    torch and all the rest together. What stands in for the modules is taken away afterwards, so
    that whoever imports them later gets them.
    """
    import torch
    from deepmd.pt.utils import compile_compat

    def as_it_is(function: Any = None, *_: Any, **__: Any) -> Any:
        return function if function is not None else as_it_is

    with (
        _standing_in("torch._dynamo"),
        _standing_in("mendeleev", element=None),
        mock.patch.object(compile_compat, "apply_global_compile_patches", as_it_is),
        mock.patch.object(torch, "compile", as_it_is),
        mock.patch.object(torch.compiler, "disable", as_it_is),
    ):
        yield


@contextlib.contextmanager
def _standing_in(name: str, **contents: Any) -> Iterator[None]:
    """An almost empty module in place of one that is not imported yet."""
    if name in sys.modules:
        yield
        return
    module = ModuleType(name)
    vars(module).update(contents)
    sys.modules[name] = module
    try:
        yield
    finally:
        if sys.modules.get(name) is module:
            del sys.modules[name]


def _skip_compiled_operators() -> None:
    """Let deepmd-kit be imported beside another torch than the one that it was compiled with.

    On import it loads a C++ library of operators and refuses every other release of torch. DPA4 is
    written in Python and uses none of them (`tests/oracle/test_dpa4.py` compares its forces with
    differences of its energy), so the library is marked as loaded. The MPI library, which only the
    operators need, is not loaded either: the package that brings it also brings an ``mpiexec``,
    which would start GPAW wrongly.
    """
    present = version("deepmd-kit")
    if not present.startswith(RELEASES):
        wanted = " or ".join(f"{release}*" for release in RELEASES)
        raise SetupError(
            f"deepmd-kit {present} is installed; expected {wanted}: pip install 'phonoscout[dpa4]'"
        )
    import torch
    from deepmd.env import GLOBAL_CONFIG

    spec = importlib.util.find_spec("deepmd")
    assert spec is not None
    assert spec.origin is not None
    library = Path(spec.origin).parent / "lib" / "libdeepmd_op_pt.so"
    torch.ops.loaded_libraries.add(str(library.resolve()))
    GLOBAL_CONFIG["cibuildwheel"] = "0"  # it loads MPI where it was built as a wheel
    # It asks on stderr for environment variables; workers get their threads from this project.
    logging.getLogger("deepmd").setLevel(logging.ERROR)
    logging.getLogger("torch._library.triton").setLevel(logging.ERROR)
