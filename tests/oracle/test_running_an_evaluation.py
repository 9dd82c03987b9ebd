"""What surrounds a calculation: its clock and deadline, threads, temperatures, digests."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from threadpoolctl import threadpool_info

from oracle.runtime.clock import Clock
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.environment import environment, versions_of
from oracle.runtime.errors import OracleError
from oracle.runtime.temperatures import Temperature
from oracle.runtime.threads import one_thread, pinned_threads, thread_variables

_TEMPERATURE: TypeAdapter[float] = TypeAdapter(Temperature)
_PLAIN = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.integers())


class TestClock:
    def test_it_reports_each_stage_and_adds_up_its_runs(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[tuple[str, float]] = []
        now = iter([0.0, 2.0, 10.0, 13.5, 20.0, 20.25])
        monkeypatch.setattr("time.perf_counter", lambda: next(now))
        clock = Clock(Context(tmp_path, progress=lambda stage, share: seen.append((stage, share))))
        assert clock("relax", lambda: "relaxed") == "relaxed"
        assert clock("fc2", lambda: 3) == 3
        clock("relax", lambda: None)
        assert seen == [("relax", 0.0), ("fc2", 0.0), ("relax", 0.0)]
        assert clock.seconds == {"relax": 2.25, "fc2": 3.5}

    def test_after_the_deadline_nothing_is_begun(self, tmp_path: Path) -> None:
        begun: list[str] = []
        clock = Clock(Context(tmp_path, deadline=1.0))
        with pytest.raises(OracleError, match="time limit") as raised:
            clock("fc3", lambda: begun.append("fc3"))
        assert (raised.value.stage, raised.value.transient) == ("fc3", True)
        assert begun == []
        assert clock.seconds == {}


class TestTemperatures:
    @given(st.floats(1.0, 5000.0))
    @settings(deadline=None)
    def test_sensible_ones_pass(self, temperature: float) -> None:
        assert _TEMPERATURE.validate_python(temperature) == temperature

    @pytest.mark.parametrize("wrong", [0.0, 0.5, -300.0, 5000.1, float("nan"), float("inf")])
    def test_others_are_told_the_range(self, wrong: float) -> None:
        with pytest.raises(ValidationError, match="1 to 5000 K"):
            _TEMPERATURE.validate_python(wrong)

    def test_the_schema_states_the_range(self) -> None:
        schema = _TEMPERATURE.json_schema()
        assert (schema["minimum"], schema["maximum"]) == (1.0, 5000.0)


class TestThreads:
    def test_one_inside_and_as_many_as_before_outside(self) -> None:
        before = torch.get_num_threads()
        with one_thread():
            assert torch.get_num_threads() == 1
        assert torch.get_num_threads() == before
        with pytest.raises(ZeroDivisionError), one_thread():
            _ = 1 / 0
        assert torch.get_num_threads() == before

    def test_the_libraries_of_numpy_too(self) -> None:
        def blas() -> list[int]:
            return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

        before = blas()
        with pinned_threads():
            assert set(blas()) <= {1}
        assert blas() == before

    def test_libraries_loaded_between_two_blocks_obey_the_second(self) -> None:
        code = (
            "from oracle.runtime.threads import pinned_threads; from threadpoolctl import *\n"
            "with pinned_threads(): before = len(threadpool_info())\n"
            "import sklearn.cluster\n"
            "with pinned_threads(): print([p['num_threads'] for p in threadpool_info()], before)\n"
        )
        many = os.environ | thread_variables(3)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=many
        )
        threads, _, before = done.stdout.strip().rpartition(" ")
        assert set(threads.strip("[]").split(", ")) == {"1"}
        assert threads.count(",") + 1 > int(before)  # there are such libraries

    def test_libraries_loaded_later_obey(self) -> None:
        """In a process of its own, whose environment may be changed."""
        code = (
            "from oracle.runtime.threads import use_threads; use_threads(1); import numpy; "
            "from threadpoolctl import threadpool_info; "
            "print([p['num_threads'] for p in threadpool_info() if p['user_api'] == 'blas'])"
        )
        clean = {k: v for k, v in os.environ.items() if k not in thread_variables(1)}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean
        )
        assert set(done.stdout.strip().strip("[]").split(", ")) == {"1"}


class TestEnvironment:
    def test_versions_are_those_installed(self) -> None:
        found = environment()
        assert found["torch"].partition("+")[0] == torch.__version__.partition("+")[0]
        assert {"phono3py", "phonopy", "spglib"} <= found.keys()

    def test_what_is_not_installed_is_left_out(self) -> None:
        assert set(versions_of(["numpy", "no-such-distribution"])) == {"numpy"}


class TestDigests:
    @given(st.dictionaries(st.text("abc", max_size=3), _PLAIN, max_size=4))
    @settings(max_examples=30, deadline=None)
    def test_the_order_of_keys_does_not_matter(self, value: dict[str, Any]) -> None:
        turned = dict(reversed(value.items()))
        assert digest_of(turned) == digest_of(value)
        assert digest_of(value | {"more": 1}) != digest_of(value | {"more": 2})

    def test_it_is_the_published_hash_of_the_compact_text(self) -> None:
        # SHA-256 of the two characters {} (NIST, FIPS 180-4, by any implementation).
        empty = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"
        assert digest_of({}) == empty

    def test_what_json_cannot_hold_is_refused(self) -> None:
        with pytest.raises(ValueError, match="JSON"):
            digest_of({"kappa": float("nan")})
