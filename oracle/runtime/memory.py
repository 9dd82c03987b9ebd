"""How the C library treats freed memory."""

from __future__ import annotations

import ctypes
import functools

# From glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8


@functools.cache
def keep_freed_memory() -> bool:
    """Let the process keep the memory it frees, for its next allocation.

    A potential allocates the same gigabytes at each call. By default glibc returns every large
    block to the system at once, and the system clears each page before its next use, which takes
    longer than the arithmetic: without this, forces of SevenNet-l3i5 on 512 atoms take 2.4 times as
    long (benchmarks/README.md). Numbers do not change.

    Returns:
        Whether the C library has these settings; if not, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    # Without mmap, blocks of secondary arenas are limited to 64 MiB, hence a single arena.
    settings = ((_ARENA_MAX, 1), (_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1))
    return all(bool(mallopt(parameter, value)) for parameter, value in settings)
