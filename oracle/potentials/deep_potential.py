"""DPA4 from deepmd-kit, whose compiled operators are for one release of torch only."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
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
    """Leave functions as they are that deepmd-kit and e3nn mark for torch's compiler on import.

    One is to be compiled, for GPUs, and one never to be; DPA4 calls them as they are. The marks
    alone import the compiler, which takes as long as all the rest of torch.
    """
    import torch

    def as_it_is(function: Any = None, *_: Any, **__: Any) -> Any:
        return function if function is not None else as_it_is

    with (
        mock.patch.object(torch, "compile", as_it_is),
        mock.patch.object(torch.compiler, "disable", as_it_is),
    ):
        yield


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
