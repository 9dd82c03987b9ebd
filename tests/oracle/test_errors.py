"""Whether a failure is due to the material, to the machine, or as yet unknown."""

from __future__ import annotations

import errno
import subprocess

import pytest

from oracle.runtime.errors import (
    OracleError,
    SetupError,
    as_oracle_error,
    is_of_the_machine,
    recurring,
)

OF_THE_MACHINE = [
    OSError(errno.ENOSPC, "No space left on device"),
    PermissionError(errno.EACCES, "Permission denied"),
    TimeoutError("timed out"),
    ModuleNotFoundError("No module named 'torch'"),
    MemoryError(),
    subprocess.TimeoutExpired("pw.x", 3.0),
    RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
    RuntimeError("Unable to flush file's cached information (errno = 28)"),
    SetupError("no weights"),
]
OTHERS = [ValueError("flat cell"), KeyError("Og"), RuntimeError("mat1 and mat2 shapes")]


@pytest.mark.parametrize("error", OF_THE_MACHINE, ids=repr)
def test_what_belongs_to_the_machine_passes(error: Exception) -> None:
    assert is_of_the_machine(error)
    failure = as_oracle_error(error, "give more")
    assert (failure.transient, failure.unexpected) == (True, False)
    assert "\n" not in failure.message


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_what_nobody_foresaw_may_pass(error: Exception) -> None:
    failure = as_oracle_error(error, "give more")
    assert (failure.transient, failure.unexpected) == (True, True)


def test_a_refusal_of_the_material_is_for_good() -> None:
    failure = as_oracle_error(OracleError("relax", "it left its prototype"), "give more")
    assert (failure.transient, failure.unexpected) == (False, False)


def test_a_library_may_wrap_the_cause() -> None:
    error = RuntimeError("cannot write the archive")
    assert not is_of_the_machine(error)
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert is_of_the_machine(error)


@pytest.mark.parametrize(("failing", "calls"), [(0, 1), (1, 2)])
def test_an_accident_is_tried_again(failing: int, calls: int) -> None:
    seen: list[int] = []

    def work() -> str:
        seen.append(1)
        if len(seen) <= failing:
            raise ValueError("by accident")
        return "done"

    assert recurring(work) == "done"
    assert len(seen) == calls


@pytest.mark.parametrize("error", [OSError("disk"), OracleError("eos", "no minimum")], ids=repr)
def test_what_is_known_is_not_tried_again(error: Exception) -> None:
    seen: list[int] = []

    def work() -> None:
        seen.append(1)
        raise error

    with pytest.raises(type(error)):
        recurring(work)
    assert len(seen) == 1
