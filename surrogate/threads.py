"""One thread, so that sums are added in one order and results are equal to the last bit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


@contextmanager
def pinned_threads() -> Iterator[None]:
    """Torch and the BLAS of NumPy use one thread inside, and as many as before outside."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)
