"""Whatever is wrong in a config, the line that says so is for people who write YAML."""

from __future__ import annotations

import math
import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from oracle.green.settings import GreenSettings
from oracle.interface.settings import InterfaceSettings
from oracle.phonons.settings import PhononSettings
from orchestrator.config.config import CampaignConfig
from orchestrator.config.config_words import unwrapped
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import validate
from orchestrator.config.messages import one_line

BASE: dict[str, Any] = {
    "name": "a",
    "space": {"kind": "prototypes"},
    "objective": {"property": "kappa"},
    "oracle": {"kind": "phonon-bte"},
}
PAIRS = {
    "name": "a",
    "space": {"kind": "interface", "path": "x"},
    "objective": {"property": "interface_conductance"},
    "oracle": {"kind": "interface"},
}
LAYERED = {
    "name": "a",
    "space": {"kind": "superlattice", "alphabet": {"S": "Si", "G": "Ge"}, "leads": ["S", "S"],
              "length": 4},
    "objective": {"property": "conductance"},
    "oracle": {"kind": "green"},
}  # fmt: skip
BASES = {
    "wyckoff": {**BASE, "space": {"kind": "crystals", "elements": ["Na", "Cl"]}},
    "interface": PAIRS,
    "green": LAYERED,
    "sequence-process": LAYERED,
}
WRONG: list[Any] = [
    *(None, True, 3, -7, 2.5, 10**30, math.nan, math.inf, "word", "", "a b/c", "-1"),
    *([], [1, "a"], [[1]], [None], ["x", "x"], [True] * 3, [-1, -1, -1], [2.5] * 3),
    *([[1, 0, 0], [0, 1, 0], [0, 0, -1]], {}, {"a": 1}, {1: 2}, {"kind": "x"}, {"kind": [1]}),
    *({"engine": "x"}, {"engine": "gpaw", "foo": 1}, {"engine": "espresso"}, b"x"),
]
PROGRAMMERS = re.compile(
    r"tuple|\bdict|instance of|\^|Settings|pydantic|function|Input should|NoneType|\bint\b|"
    r"\bstr\b|\bfloat\b|\bbool\b|union|Traceback"
)


def _models(annotation: Any) -> Iterator[tuple[type[BaseModel], bool]]:
    """The models a key may hold, and whether in a list."""
    inner, _ = unwrapped(annotation)
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        yield inner, False
    elif typing.get_origin(inner) is tuple:
        for part in typing.get_args(inner):
            yield from ((model, True) for model, _ in _models(part))
    else:
        for part in typing.get_args(inner):
            yield from _models(part)


def _keys() -> Iterator[tuple[str, ...]]:
    """Every section, and every key of each kind of section."""
    for section, field in CampaignConfig.model_fields.items():
        yield (section,)
        for model, listed in _models(field.annotation):
            kinds = typing.get_args(getattr(model.model_fields.get("kind"), "annotation", None))
            for name in model.model_fields:
                yield section, kinds[0] if kinds else "", name, "listed" if listed else ""


def _config(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    if len(path) == 1:
        return {**BASE, path[0]: value}
    section, kind, name, listed = path
    inner = {**({"kind": kind} if kind else {}), name: value}
    base = BASES.get(kind, BASE)
    return {**base, section: [inner] if listed else inner}


def _message(raw: dict[str, Any]) -> str | None:
    try:
        CampaignConfig.model_validate(raw)
    except ValidationError as error:
        return one_line(error, CampaignConfig, "c.yaml")
    return None


def _check(path: tuple[str, ...], value: Any) -> bool:
    message = _message(_config(path, value))
    if message is None:
        return False
    assert "\n" not in message
    own_words = re.sub(r"given (\{.*\}|\[.*\]|'[^']*'|[^;]*)(;|$)", "", message)
    assert not PROGRAMMERS.search(own_words), message
    assert path[0] in message, message
    first = ("missing", "neither of column", "twice")  # another key is told first
    missing = any(word in message for word in first)
    assert missing or path[0] == "constraints" or path[min(2, len(path) - 1)] in message, message
    return True


@pytest.mark.parametrize("path", list(_keys()), ids=".".join)
def test_no_key_is_answered_in_words_of_programmers(path: tuple[str, ...]) -> None:
    refused = [value for value in WRONG if _check(path, value)]
    assert len(refused) >= 8


TEXTS = st.text(max_size=12) | st.sampled_from(["null", "~", "1e400", "0x1", "kind", "[", "é"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(list(_keys())), VALUES)
def test_nor_is_any_other_value(path: tuple[str, ...], value: Any) -> None:
    message = _message(_config(path, value))
    assert message is None or (message.startswith("c.yaml: ") and "\n" not in message)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (
            {"budget": {"batch": "many"}},
            "budget.batch: given 'many'; expected an integer of at least 1",
        ),
        (
            {"budget": 3},
            "budget: given 3; expected a mapping with the keys rounds, batch, oracle_calls",
        ),
        ({"name": "a/b"}, "name: given 'a/b'; expected a name of up to 100 letters, digits"),
        (
            {"agents": 3},
            "agents: given 3; expected a list of at least one mapping with a key",
        ),
        (
            {"agents": [{"kind": "bayes"}]},
            "agents.0.kind: given 'bayes'; did you mean 'bayesian'? allowed: random",
        ),
        (
            {"space": {"kind": "prototypes", "elements": ["na"]}},
            "'na' is not an element; did you mean 'Na'?",
        ),
        (
            {"space": {"kind": "prototypes", "prototypes": ["rock-salt"]}},
            "did you mean 'rocksalt'?",
        ),
        (
            {"constraints": ["stable_dynamically", 3]},
            "constraints.0: 'stable_dynamically' is not a constraint;",
        ),
        ({"objective": {"property": "kapa"}}, "objective.property: given 'kapa'"),
        (
            {"objective": {"property": ["kappa"]}},
            "objective.property: given ['kappa']; expected a text",
        ),
        (
            {"oracle": {"kind": "phonon-bte", "transport": "RTA"}},
            "did you mean 'rta'? expected one of rta, lbte",
        ),
        (
            {"oracle": {"kind": "phonon-bte", "mesh": [3, 3]}},
            "oracle.mesh: given [3, 3]; expected a list of three integers of at least 1",
        ),
        (
            {"oracle": {"kind": "phonon-bte", "temperatures": 300}},
            "given 300; expected a list of at least one temperature from ",
        ),
        (
            {"oracle": {"kind": "phonon-bte", "calculator": {"engine": "gpaw", "xc": "pbe"}}},
            "oracle.calculator.xc: given 'pbe'; did you mean 'PBE'?",
        ),
        (
            {"oracle": {"kind": "phonon-bte", "calculator": {"engine": "gpaw", "foo": 1}}},
            "oracle.calculator.foo: unknown key (given 1); allowed: cores",
        ),
        (
            {"executor": {"time_limit": [1]}},
            "executor.time_limit: given [1]; expected seconds, or a text",
        ),
        ({"budgett": {}}, "budgett: unknown key (given {}); did you mean 'budget'?"),
    ],
)
def test_messages_say_what_is_expected(changes: dict[str, Any], expected: str) -> None:
    message = _message(BASE | changes)
    assert message is not None
    assert expected in message


@pytest.mark.parametrize("model", [PhononSettings, GreenSettings, InterfaceSettings])
def test_settings_of_evaluate_are_answered_alike(model: type[BaseModel]) -> None:
    refused = 0
    for name in model.model_fields:
        for value in WRONG:
            try:
                model.model_validate({name: value})
            except ValidationError as error:
                message = one_line(error, model, "--set")
                own_words = re.sub(r"given (\{.*\}|\[.*\]|'[^']*'|[^;]*)(;|$)", "", message)
                assert name in message
                assert not PROGRAMMERS.search(own_words), message
                refused += 1
    assert refused > 100


@pytest.mark.parametrize(
    ("oracle", "expected"),
    [
        ({"calculator": {"engine": "x:y"}}, "a text or a mapping with a key 'engine'"),
        ({"calculator": "7net-0", "born": "BORN"}, "expected a mapping"),
    ],
)
def test_mappings_are_told_apart_by_their_own_key(oracle: dict[str, Any], expected: str) -> None:
    raw = {"name": "x", "space": {"kind": "prototypes"}, "objective": {"property": "kappa"}}
    with pytest.raises(ConfigError, match=expected) as caught:
        validate({**raw, "oracle": {"kind": "phonon-bte", **oracle}}, "config")
    assert "'kind'" not in str(caught.value)


SETTINGS: list[type[BaseModel]] = [PhononSettings, GreenSettings, InterfaceSettings]


def _bounded() -> Iterator[Any]:
    """Settings of numbers with a bound, a value just beyond it, and the bound in words."""
    beyond = {
        "gt": (0.0, "above"),
        "ge": (-1, "of at least"),
        "lt": (0, "below"),
        "le": (1, "most"),
    }
    for model in SETTINGS:
        for name, field in model.model_fields.items():
            for constraint in field.metadata:
                for bound, (step, words) in beyond.items():
                    limit = getattr(constraint, bound, None)
                    if isinstance(limit, int | float):
                        value, text = limit + step, f"{words} {limit:g}"
                        yield pytest.param(model, name, value, text, id=f"{name} {bound}")


@pytest.mark.parametrize(("model", "name", "value", "words"), list(_bounded()))
def test_a_number_beyond_its_bound_is_told_the_bound(
    model: type[BaseModel], name: str, value: float, words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: value})
    message = one_line(caught.value, model, "--set")
    assert message.startswith(f"--set: {name}: given {value!r}; expected ")
    assert words in message


@pytest.mark.parametrize(
    ("model", "name"),
    [(PhononSettings, "mesh"), (GreenSettings, "q_mesh"), (PhononSettings, "fc2_supercell")],
)
@pytest.mark.parametrize("value", [[], [2], [2, 2, 2, 2]])
def test_a_list_of_another_length_is_answered_as_a_list(
    model: type[BaseModel], name: str, value: list[int]
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({name: value})
    message = one_line(caught.value, model, "--set")
    assert re.match(rf"--set: {name}: (given|got) {re.escape(str(value))}; expected ", message)
