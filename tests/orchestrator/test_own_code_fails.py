"""What code of the user's own raises or returns wrongly ends in one line, never in a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.contract.objective import Objective
from agents.contract.own_proposer import OwnProposer
from agents.contract.protocol import Candidate
from agents.spaces.finite import FiniteSpace
from agents.spaces.prototype_table import prototype
from agents.spaces.settings import OwnSpaceSettings
from oracle.contract.evaluation import Failed, Measured, Quantity
from oracle.contract.own_oracle import OwnOracle, OwnOracleSettings
from oracle.contract.protocol import Oracle
from oracle.materials.crystal import Crystal
from oracle.runtime.context import Context
from oracle.runtime.own_classes import OwnCodeFailed, blamed_within
from oracle.runtime.sources import digest_of_import
from orchestrator.assembly.build import build_space, kind_of
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import validate
from surrogate.contract.own_surrogate import own_surrogate
from surrogate.contract.protocol import Output, Posterior, Saving

SALTS: list[Crystal] = [
    prototype("rocksalt").decorate(pair, (1, -1)) for pair in (("Na", "Cl"), ("K", "Br"))
]
_PATH = "surrogate.contract.protocol:Output"
"""Import path that stands for the users' own; its source is there."""
SPACE = FiniteSpace(SALTS, ["NaCl", "KBr"])


class _Gives:
    """An oracle that gives what a test wants, changed from a good outcome."""

    fidelity = "mass"
    method_digest = "1"

    def __init__(self, **changes: Any) -> None:
        self._changes = changes

    def evaluate(self, material: Any, *, context: Context) -> Any:
        given: dict[str, Any] = {
            "material": material,
            "fidelity": "mass",
            "method": "1",
            "cost_s": 0.0,
            "stage": "mass",
            "properties": {},
        }
        return Measured(**given | self._changes)

    def tightened(self, level: int) -> Any:
        return 3


def _evaluated(tmp_path: Path, oracle: Oracle) -> Any:
    own = OwnOracle(OwnOracleSettings(kind=_PATH), oracle)
    return own.evaluate(SALTS[0], context=Context(tmp_path))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(2.0), 2.0),
        (np.array([1.0, 2.0]), [1.0, 2.0]),
        (np.eye(3), np.eye(3).tolist()),
        (2.0, 2.0),
    ],
)
def test_numbers_of_numpy_can_be_recorded(tmp_path: Path, value: Any, plain: Any) -> None:
    quantity = Quantity(value=value, unit="u", std=np.float32(0.5))
    assert type(quantity.std) is float
    found = _evaluated(tmp_path, _Gives(properties={"mass": quantity}))
    assert isinstance(found, Measured)
    assert Measured.model_validate_json(found.model_dump_json()).properties["mass"].value == plain


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"provenance": {"made": object()}}, "gave what JSON cannot hold"),
        ({"properties": {"mass": Quantity(value=[np.float32(1)], unit="")}}, "gave what JSON"),
        ({"cost_s": float("nan")}, "cost_s nan; expected seconds"),
        ({"cost_s": -1.0}, "cost_s -1.0; expected seconds"),
    ],
)
def test_an_outcome_that_cannot_be_recorded_is_a_failure(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    found = _evaluated(tmp_path, _Gives(**changes))
    assert isinstance(found, Failed)
    assert found.permanent
    assert words in found.message
    found.model_dump_json()


def test_a_tighter_oracle_that_is_none_is_refused() -> None:
    own = OwnOracle(OwnOracleSettings(kind=_PATH), _Gives())
    with pytest.raises(Exception, match=r"tightened\(1\)' gives int, which lacks evaluate"):
        own.tightened(1)


class _Proposes:
    """A proposer that gives what a test wants."""

    kind = "mine"

    def __init__(self, found: Any) -> None:
        self._found = found

    def propose(self, n: int, **given: Any) -> Any:
        return self._found()


def _proposed(found: Callable[[], Any], n: int = 4) -> list[Candidate]:
    return OwnProposer(_Proposes(found), "mine-2", __name__ + ":Mine").propose(
        n,
        space=SPACE,
        objective=Objective(),
        evaluations=(),
        pending=(),
        surrogate=None,
        rng=np.random.default_rng(0),
    )


def _raises(error: BaseException) -> Any:
    raise error


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (lambda: _raises(KeyError("no idea")), r"propose raised KeyError: 'no idea' \(test_own_"),
        (lambda: _raises(SystemExit(3)), "propose raised SystemExit: 3"),
        (lambda: None, "propose gave NoneType; expected a list of Candidate"),
        (lambda: SALTS, "propose gave a list with Crystal; expected a list of Candidate"),
    ],
)
def test_an_own_proposer_is_blamed(found: Callable[[], Any], words: str) -> None:
    with pytest.raises(OwnCodeFailed, match=words):
        _proposed(found)


def test_what_an_own_proposer_may_not_propose_is_dropped() -> None:
    stranger = prototype("rocksalt").decorate(("Li", "F"), (1, -1))
    given = [Candidate(m, "someone") for m in (SALTS[1], stranger, SALTS[1], SALTS[0])]
    found = _proposed(lambda: given)
    assert [c.material for c in found] == [SALTS[1], SALTS[0]]
    assert {c.agent for c in found} == {"mine-2"}
    assert len(_proposed(lambda: given, n=1)) == 1


GOOD = Posterior(np.zeros((2, 1)), np.zeros((1, 2, 3)), np.zeros((2, 1)), np.ones(2))


class _Predicts:
    """A surrogate that gives what a test wants."""

    def __init__(self, found: Any) -> None:
        self._found = found

    def fit(self, evaluations: Sequence[Any], **given: Any) -> None:
        raise ValueError("cannot be fitted")

    def posterior(self, materials: Sequence[Any], **given: Any) -> Any:
        return self._found


class _Saves(_Predicts):
    def save(self, path: Path) -> None:
        raise OSError("no room")


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (None, "posterior gave NoneType; expected Posterior"),
        (replace(GOOD, mean=np.zeros((1, 1))), r"mean of shape \(1, 1\); expected \(2, 1\)"),
        (replace(GOOD, root=np.zeros((2, 3))), r"root of shape .*; expected \(1, 2, 'any'\)"),
        (replace(GOOD, p_stable=np.ones((2, 1))), r"p_stable of shape"),
        (replace(GOOD, mean=np.full((2, 1), np.nan)), "mean that is not finite"),
    ],
)
def test_an_own_surrogate_is_blamed(tmp_path: Path, found: Any, words: str) -> None:
    asked: dict[str, Any] = {"outputs": [Output("mass")], "fidelity": "mass"}
    assert own_surrogate(_Predicts(GOOD), "my:Mine").posterior(SALTS, **asked) is GOOD
    surrogate = own_surrogate(_Saves(found), "my:Mine")
    with pytest.raises(OwnCodeFailed, match=f"'my:Mine': posterior gave .*{words}|{words}"):
        surrogate.posterior(SALTS, **asked)
    with pytest.raises(OwnCodeFailed, match="fit raised ValueError: cannot be fitted"):
        surrogate.fit([])
    assert isinstance(surrogate, Saving)
    with pytest.raises(OwnCodeFailed, match="save raised OSError: no room"):
        surrogate.save(tmp_path)
    assert not isinstance(own_surrogate(_Predicts(found), "my:Mine"), Saving)


PROPOSER = """
from agents.proposers.base import BaseProposer


class Lost(BaseProposer):
    kind = "lost"

    def _ideas(self, situation):
        raise KeyError("no idea")
"""


def test_a_campaign_ends_with_the_line_of_the_users_own_code(
    desk: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (desk.folder / "a_lost_proposer.py").write_text(PROPOSER)
    monkeypatch.setattr(sys, "path", [*sys.path, str(desk.folder)])
    desk("launch", desk.config(agents=[{"kind": "a_lost_proposer:Lost"}]), code=1)
    found = desk.document("status", "layers")
    assert found["state"] == "failed"
    assert found["stop_reason"] == (
        "planning a round: 'a_lost_proposer:Lost': propose raised KeyError: 'no idea' "
        "(a_lost_proposer.py, line 9)"
    )


def test_options_that_cannot_be_recorded_are_refused() -> None:
    oracle = {"kind": "my_oracle:Mine", "options": {"since": date(2020, 1, 1)}}
    raw = {"name": "x", "space": {"kind": "my:Space"}, "objective": {"property": "mass"}}
    with pytest.raises(ConfigError, match=r"oracle\.options: .*since is datetime\.date"):
        validate({**raw, "oracle": oracle}, "config")


SPACES = """
from agents.spaces.base import BaseSpace
from agents.spaces.prototype_table import prototype

SALTS = [prototype("rocksalt").decorate(pair, (1, -1)) for pair in (("Na", "Cl"), ("K", "Br"))]


class Mine(BaseSpace):
    size = 2

    def __init__(self, size=2, members=None, sampled=True):
        self.members = SALTS if members is None else members
        self.sampled = sampled
        type(self).size = size

    def __contains__(self, material):
        return material in self.members

    def __iter__(self):
        if self.size is None:
            raise TypeError("unbounded")
        return iter(self.members)

    def sample(self, n, rng):
        if not self.sampled:
            raise NotImplementedError("later")
        return self.members[:n]

    def neighbours(self, material):
        return []
"""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "many"}, "size is 'many'; expected a number, or None"),
        ({"members": []}, "size is 2, but it gives no material"),
        ({"members": ["NaCl", "KCl"]}, "holds str; expected materials"),
        (
            {"size": None, "sampled": False},
            "its materials cannot be had .NotImplemented",
        ),
        ({}, None),
        ({"size": None}, None),
    ],
)
def test_an_own_space_holds_materials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], words: str | None
) -> None:
    (tmp_path / "a_space.py").write_text(SPACES)
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path)])
    monkeypatch.delitem(sys.modules, "a_space", raising=False)
    digest_of_import.cache_clear()
    settings = OwnSpaceSettings(kind="a_space:Mine", options=options)
    if words is None:
        assert kind_of(build_space(settings)) == "crystal"
        return
    with pytest.raises(ConfigError, match=f"space: 'a_space:Mine':? {words}"):
        build_space(settings)


def test_errors_that_pass_through_a_users_module_are_blamed_on_it() -> None:
    words = r"raised KeyError: 'lost' \(test_own_code_fails"
    with pytest.raises(OwnCodeFailed, match=words), blamed_within(f"{__name__}:Mine"):
        raise KeyError("lost")
    with pytest.raises(KeyError), blamed_within("prototypes"):
        raise KeyError("ours")


def test_an_oracle_without_tighter_ones_is_itself_at_level_0() -> None:
    class Loose(_Gives):
        def tightened(self, level: int) -> Any:
            return None

    own = OwnOracle(OwnOracleSettings(kind=_PATH), Loose())
    assert own.tightened(0) is own
    assert own.tightened(1) is None
