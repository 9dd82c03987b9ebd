"""How the C library treats freed memory."""

from __future__ import annotations

import ctypes
import functools
import os

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_LARGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Read by torch at its first allocation (c10/core/impl/alloc_cpu.cpp)."""


@functools.cache
def keep_freed_memory() -> bool:
    """Let the process keep the memory it frees, for its next allocation.

    A potential allocates the same gigabytes at each call. By default glibc returns every large
    block to the system at once, and the system clears each page before its next use, which takes
    longer than the arithmetic: without this, forces of SevenNet-l3i5 on 512 atoms take 2.4 times as
    long (benchmarks/README.md). Torch, unless it has allocated before, asks for large pages, of
    which far fewer need clearing: with them the first forces of 432 atoms by DPA4 take 4.5 s for
    5.3 s. Numbers do not change.

    Returns:
        Whether the C library has these settings; if not, those of torch remain.
    """
    os.environ.setdefault(_LARGE_PAGES, "1")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # Without mmap, blocks of secondary arenas are limited to 64 MiB, hence a single arena.
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
    return all(bool(mallopt(parameter, value)) for parameter, value in settings)
