"""Values of configs, addresses of functions, rows of tables and timed forces, one by one."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from oracle.materials.superlattice import Superlattice
from oracle.replay.table import is_tensor, number_in
from oracle.runtime.errors import OracleError
from orchestrator.assembly.table_rows import check_rows, chosen_ids, ids_by_material
from orchestrator.config.config_values import check_values
from orchestrator.executors.addresses import address_of, function_at
from orchestrator.running import prices
from orchestrator.running.prices import Timed
from tests.orchestrator import executor_functions

_PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=5)
)


class TestConfigValues:
    @given(st.dictionaries(st.text("ab", min_size=1), _PLAIN | st.lists(_PLAIN, max_size=3)))
    @settings(deadline=None)
    def test_what_json_and_databases_hold_passes(self, raw: dict[str, Any]) -> None:
        check_values(raw, raw)

    @given(
        st.sampled_from([math.inf, -math.inf, math.nan, 10**19, "a\0b", "\ud800"]),
        st.integers(0, 3),
    )
    @settings(deadline=None)
    def test_anything_else_is_named_by_its_key(self, wrong: Any, before: int) -> None:
        raw = {"outer": {"list": [*range(before), wrong]}}
        with pytest.raises(ValueError, match=rf"^outer\.list\.{before}: given .*expected"):
            check_values(raw, raw)

    def test_what_a_text_became_counts_too(self) -> None:
        with pytest.raises(ValueError, match="finite"):
            check_values({"a": "1e999"}, {"a": math.inf})
        with pytest.raises(ValueError, match="given true; expected a number"):
            check_values({"a": True}, {"a": 1})
        check_values({"a": True}, {"a": True})
        check_values({"a": 1}, {})  # another shape: pydantic has looked at it

    def test_long_values_are_cut(self) -> None:
        with pytest.raises(ValueError, match=r"given .*\.\.\.; expected") as raised:
            check_values({"a": "\0" * 500}, {"a": "\0" * 500})
        assert len(str(raised.value)) < 200


class _Holder:
    def method(self) -> None: ...

    @staticmethod
    def plain(payload: int) -> int:
        return 2 * payload


def _nested() -> Callable[[], None]:
    def inner() -> None: ...

    return inner


class TestAddresses:
    @pytest.mark.parametrize("function", [executor_functions.add, check_values, _Holder.plain])
    def test_they_lead_back_to_the_function(self, function: Callable[..., Any]) -> None:
        address = address_of(function)
        assert address.startswith(f"{function.__module__}:")
        assert function_at(address) is function

    @pytest.mark.parametrize(
        ("function", "reason"),
        [
            (lambda: None, "no name"),
            (_nested(), "no name"),
            (_Holder().method, "method"),
            (functools.partial(check_values, {}), "partial"),
            (len, "builtin"),
        ],
    )
    def test_what_no_worker_can_import_is_refused(
        self, function: Callable[..., Any], reason: str
    ) -> None:
        with pytest.raises(TypeError, match=f"worker.*{reason}.*top"):
            address_of(function)

    def test_a_name_that_means_another_function_now(self, monkeypatch: pytest.MonkeyPatch) -> None:
        original = executor_functions.add
        monkeypatch.setattr(executor_functions, "add", executor_functions.surroundings)
        with pytest.raises(TypeError, match="another"):
            address_of(original)

    @pytest.mark.parametrize(
        "address", ["no_such_module_here:f", "math:no_such_name", "math:pi", "math:no.such"]
    )
    def test_a_worker_without_it_says_so(self, address: str) -> None:
        with pytest.raises(ImportError):
            function_at(address)


COLUMNS = {
    "column": "kappa", "stable_column": "stable", "std_column": "std", "confirm_column": None
}  # fmt: skip


def _space(**ids: str) -> Any:
    """A pool whose records have these ids and sequences."""
    digests = {name: Superlattice(sequence=word).digest for name, word in ids.items()}
    return SimpleNamespace(reading=SimpleNamespace(ids=digests))


def _rows(**values: Any) -> dict[str, dict[str, Any]]:
    blank = {"kappa": None, "stable": None, "std": None}
    rows = {k: v if isinstance(v, dict) else {"kappa": v} for k, v in values.items()}
    return {name: {**blank, "id": name, **row} for name, row in rows.items()}


class TestRows:
    def test_the_first_record_with_a_row_answers(self) -> None:
        space = _space(a="01", b="01", c="001", d="0001")
        one, two, three = (Superlattice(sequence=w).digest for w in ("01", "001", "0001"))
        assert ids_by_material(space) == {one: ["a", "b"], two: ["c"], three: ["d"]}
        table = _rows(b=1.0, c=2.0, e=3.0)
        assert chosen_ids(space, table) == {one: "b", two: "c"}

    @pytest.mark.parametrize(
        "other", [{"kappa": 1.0}, {"kappa": 1.29, "std": 0.15}, {"kappa": 0.9, "std": 0.1}]
    )
    def test_rows_of_one_material_may_agree_within_their_errors(self, other: Any) -> None:
        space = _space(a="01", b="01", c="001")
        table = _rows(a=1.0, b=other, c=7.0)
        (note,) = check_rows(space, table, COLUMNS, log=True)
        assert "1 materials" in note
        assert check_rows(_space(a="01", c="001"), table, COLUMNS, log=True) == []

    @pytest.mark.parametrize(
        "other",
        [
            {"kappa": 1.1},
            {"kappa": 1.3, "std": 0.1},
            {"kappa": None},
            {"kappa": 1.0, "stable": False},
        ],
    )
    def test_but_not_contradict_each_other(self, other: Any) -> None:
        table = _rows(a=1.0, b=other)
        with pytest.raises(OracleError, match="'a' and 'b' are one material"):
            check_rows(_space(a="01", b="01"), table, COLUMNS, log=True)

    def test_of_unstable_materials_no_number_is_looked_at(self) -> None:
        unstable = {"kappa": -4.0, "stable": False}
        table = _rows(a=unstable, b={**unstable, "kappa": 3.0})
        assert len(check_rows(_space(a="01", b="01"), table, COLUMNS, log=True)) == 1

    @pytest.mark.parametrize("wrong", [0.0, -2.5, [[-1, 0, 0], [0, -1, 0], [0, 0, -1]]])
    def test_logarithms_need_positive_numbers(self, wrong: Any) -> None:
        space, table = _space(a="01", b="001", c="0001"), _rows(a=1.0, b=wrong, c=wrong)
        with pytest.raises(OracleError, match=r"kappa of 'b' is .*1 more.*above 0"):
            check_rows(space, table, COLUMNS, log=True)
        assert check_rows(space, table, COLUMNS, log=False) == []

    def test_directions_need_tensors(self) -> None:
        tensor = [[1.0, 0, 0], [0, 2.0, 0], [0, 0, -3.0]]
        along_z, along_x = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0)
        space, table = _space(a="01", b="001"), _rows(a=tensor, b=None)
        assert check_rows(space, table, COLUMNS, log=True, direction=along_x) == []
        with pytest.raises(OracleError, match="'a' is -3"):
            check_rows(space, table, COLUMNS, log=True, direction=along_z)
        with pytest.raises(OracleError, match=r"of 'b' is 2\.0, one number"):
            check_rows(space, _rows(a=tensor, b=2.0), COLUMNS, log=True, direction=along_x)

    @given(st.integers(0, 1000))
    @settings(deadline=None)
    def test_numbers_of_tensors_do_not_depend_on_their_frame(self, seed: int) -> None:
        principal = np.sort(np.random.default_rng(seed).uniform(0.1, 9, 3))
        turn = Rotation.random(random_state=seed).as_matrix()
        turned = (turn @ np.diag(principal) @ turn.T).tolist()
        assert is_tensor(turned)
        assert number_in(turned) == pytest.approx(principal.mean())
        assert number_in(turned, "min") == pytest.approx(principal[0])
        assert number_in(turned, "max") == pytest.approx(principal[2])
        x, y, z = turn[:, 1]  # the second principal axis
        assert number_in(turned, (5 * x, 5 * y, 5 * z)) == pytest.approx(principal[1])

    @pytest.mark.parametrize("value", [None, math.nan, math.inf, [[math.nan, 0, 0]] * 3])
    def test_what_is_no_number(self, value: Any) -> None:
        assert number_in(value) is None

    @pytest.mark.parametrize("value", [[[1, 2], [3, 4]], [1, 2, 3], [[1, 2, None]] * 3, "abc", 1.0])
    def test_what_is_no_tensor(self, value: Any) -> None:
        assert not is_tensor(value)


class TestTimedForces:
    @pytest.fixture
    def measured(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Numbers of atoms that were timed, at a tenth of a second each."""
        sizes: list[int] = []

        def seconds(potential: Any, atoms: Any, repeats: int) -> float:
            sizes.append(len(atoms))
            return 0.1 * len(atoms)

        monkeypatch.setattr(prices, "seconds_of_forces", seconds)
        return sizes

    def test_each_size_is_timed_once(self, measured: list[int]) -> None:
        timed, small = Timed("lj"), bulk("Ar", cubic=True)
        assert [timed(small), timed(small), timed(small * (2, 1, 1))] == pytest.approx(
            [0.4, 0.4, 0.8]
        )
        assert measured == [4, 8]

    def test_what_would_take_long_is_scaled_from_a_small_cell(self, measured: list[int]) -> None:
        timed, small = Timed("lj"), bulk("Ar", cubic=True)
        timed(small)
        assert timed(small * (4, 4, 4)) == pytest.approx(0.1 * 256)
        assert measured == [4]
        # Of another compound nothing is known yet.
        timed(bulk("NaCl", "rocksalt", a=5.6, cubic=True))
        assert measured == [4, 8]
