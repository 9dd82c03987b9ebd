"""How many threads a calculation uses."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterator, Mapping

from threadpoolctl import ThreadpoolController

_VARIABLES = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
)


def thread_variables(threads: int) -> Mapping[str, str]:
    """Environment variables that numerical libraries read when they are loaded."""
    return dict.fromkeys(_VARIABLES, str(threads))


def use_threads(threads: int) -> None:
    """Let this process use so many threads from now on; results depend on it in the last digits.

    It holds for libraries that are loaded later, and for torch also where that is loaded.
    """
    os.environ.update(thread_variables(threads))
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != threads:
        set_torch_threads(threads)


def set_torch_threads(threads: int) -> int:
    """Give torch so many threads in the calling thread, whose setting is its own.

    Returns:
        How many it had before.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    return before


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Give torch so many threads inside the block, and as many as before outside."""
    before = set_torch_threads(threads)
    try:
        yield
    finally:
        set_torch_threads(before)


def one_thread() -> contextlib.AbstractContextManager[None]:
    """Give torch one thread inside the block, and as many as before outside."""
    return torch_threads(1)


@contextlib.contextmanager
def pinned_threads() -> Iterator[None]:
    """Torch and the BLAS of NumPy use one thread inside, and as many as before outside."""
    with one_thread(), _libraries(len(sys.modules)).limit(limits=1):
        yield


@functools.lru_cache(maxsize=1)
def _libraries(modules: int) -> ThreadpoolController:
    """The numerical libraries that are loaded, which are looked for again after every import.

    Args:
        modules: number of imported modules.
    """
    return ThreadpoolController()
