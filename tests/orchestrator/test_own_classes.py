"""Spaces, proposers, surrogates and oracles of the user's own, named by their import path."""

from __future__ import annotations

import itertools
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from oracle.contract.evaluation import Failed, Measured
from oracle.contract.protocol import Oracle
from oracle.materials.crystal import Crystal
from oracle.runtime.context import Context
from oracle.runtime.local_inputs import CodePath, CommandLine, marked
from oracle.runtime.sources import digest_of_import
from orchestrator.app.api import create_app
from orchestrator.assembly.build import build_space
from orchestrator.assembly.oracles import build_oracles
from orchestrator.assembly.prepared import prepare
from orchestrator.campaign.campaign import Campaign
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import input_digests, validate
from orchestrator.queries.queries import best, status
from orchestrator.store.store import Store

TOKEN = {"Authorization": "Bearer secret"}
CLASSES = """
from agents.proposers.base import BaseProposer, Idea
from agents.spaces.finite import FiniteSpace
from agents.spaces.prototype_table import prototype
from oracle.contract.evaluation import Measured, Quantity
from oracle.runtime.digests import digest_of
from surrogate.models.forests import RandomForest


def salts(halides=("F", "Cl", "Br", "I")):
    pairs = [(a, b) for a in ("Li", "Na", "K", "Rb") for b in halides]
    crystals = [prototype("rocksalt").decorate(pair, (1, -1)) for pair in pairs]
    return FiniteSpace(crystals, ["".join(pair) for pair in pairs])


class Alphabetical(BaseProposer):
    kind = "alphabetical"

    def _ideas(self, situation):
        return (Idea(m) for m in sorted(situation.space, key=lambda m: m.formula))


class Guess(RandomForest):
    pass


class Mass:
    fidelity = "mass"
    method_digest = digest_of({"version": 1})

    def __init__(self, scale=1.0):
        self.scale = scale

    def evaluate(self, material, *, context):
        mass = float(material.structure().composition.weight)
        return Measured(
            material=material, fidelity="mass", method=self.method_digest, cost_s=0.0,
            stage="mass", properties={"mass": Quantity(value=self.scale * mass, unit="u")},
        )

    def tightened(self, level):
        return self if level < 2 else None
"""

_NUMBERS = itertools.count()


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Writes a module into the working folder; a name serves once, since imports are kept."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])

    def write(text: str = CLASSES) -> str:
        name = f"my_classes_{next(_NUMBERS)}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def _raw(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "own",
        "space": {"kind": f"{name}:salts"},
        "objective": {"property": "mass", "goal": "maximize"},
        "agents": [{"kind": f"{name}:Alphabetical"}, {"kind": "random"}],
        "selection": {"hole_share": 0, "audit_share": 0},
        "surrogate": {"kind": f"{name}:Guess"},
        "oracle": {"kind": f"{name}:Mass", "options": {"scale": 2.0}},
        "budget": {"batch": 4, "oracle_calls": 16},
        "confirmation": {"leaders": 1},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
        **changes,
    }


@pytest.mark.slow  # the README's example, which is always run, has one of each as well
def test_a_campaign_of_nothing_but_own_classes(
    module: Callable[..., str], tmp_path: Path, phonoscout: Callable[..., Any]
) -> None:
    name = module()
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(_raw(name)))
    home = ("--home", str(tmp_path / "home"))
    done = phonoscout("launch", "own.yaml", *home, cwd=tmp_path)
    assert done.code == 0, done.errors
    rows = best(Store(tmp_path / "home"), "own", 20)
    salts = build_space(validate(_raw(name), "config").space)
    crystals = [m for m in salts if isinstance(m, Crystal)]
    masses = {m.formula: 2.0 * m.structure().composition.weight for m in crystals}
    assert {row["formula"]: row["value"] for row in rows} == pytest.approx(masses)
    assert rows[0]["formula"] == "RbI"
    assert rows[0]["confirmed"]
    assert {row["agent"] for row in rows} == {"Alphabetical", "random"}
    # The space is pinned by its sources, as files are by their content.
    (tmp_path / f"{name}.py").write_text(CLASSES.replace('"Rb"', '"Cs"'))
    edited = phonoscout("resume", "own", "--set", "budget.oracle_calls=17", *home, cwd=tmp_path)
    assert edited.code == 2
    assert "the content of space.kind is not what it was launched with" in edited.errors
    # Elsewhere its module is not to be found.
    (tmp_path / "elsewhere").mkdir()
    lost = phonoscout("resume", "own", *home, cwd=tmp_path / "elsewhere")
    assert lost.code == 2
    assert f"there is no module '{name}'" in lost.errors
    assert len(lost.lines) == 1


WRONG = r"""
class Half:
    fidelity = "mass"

    def __init__(self, *given, **options):
        pass

    def evaluate(self, material):
        return None


class Other(Half):
    method_digest = "x"

    def tightened(self, level):
        return self


class Silent(Other):
    method_digest = None

    def evaluate(self, material, *, context):
        return None


class Broken:
    def __init__(self, *given, **options):
        raise RuntimeError("no such luck,\nreally")


class Quits:
    def __init__(self, *given, **options):
        raise SystemExit(3)


number = 3
"""


PARTS = ("space", "agents", "surrogate", "oracle")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Half", r"lacks .*; expected all of (agents|surrogate|oracle)\.contract\.protocol\."),
        ("Broken", r"cannot be made .*no such luck, really"),
        ("Quits", r"cannot be made .*SystemExit"),
        ("number", r"is a int; expected a class or a function"),
        ("Missing", r"cannot be imported .*has no attribute 'Missing'"),
    ],
)
@pytest.mark.parametrize("key", PARTS)
def test_what_cannot_be_made_is_one_line(
    key: str, name: str, words: str, module: Callable[..., str]
) -> None:
    good, wrong = module(), f"{module(WRONG)}:{name}"
    _is_refused(_raw(good, **_part(key, kind=wrong)), f"{key}: '{wrong}'", words)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Half", r"lacks method_digest, tightened; expected"),
        ("Other", r"evaluate cannot be called as .*; expected it to take material, context"),
        ("Silent", r"method_digest is None; expected a text"),
    ],
)
def test_an_oracle_has_all_that_its_protocol_asks_for(
    name: str, words: str, module: Callable[..., str]
) -> None:
    wrong = f"{module(WRONG)}:{name}"
    _is_refused(_raw(module(), oracle={"kind": wrong}), f"oracle: '{wrong}'", words)


def _part(key: str, **value: Any) -> dict[str, Any]:
    return {key: [value] if key == "agents" else value}


def _is_refused(raw: dict[str, Any], beginning: str, words: str) -> None:
    """Nothing but preparing it is needed to see it; what is said is one line."""
    with pytest.raises(ConfigError, match=words) as caught:
        prepare(validate(raw, "config"))
    assert str(caught.value).startswith(beginning)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("key", PARTS)
def test_a_module_that_is_not_there_and_options_that_do_not_fit(
    key: str, module: Callable[..., str]
) -> None:
    name = module()
    classes = {"space": "salts", "agents": "Alphabetical", "surrogate": "Guess", "oracle": "Mass"}
    missing = _part(key, kind="my_nowhere:X")
    _is_refused(_raw(name, **missing), f"{key}: ", "there is no module 'my_nowhere'")
    strange = _part(key, kind=f"{name}:{classes[key]}", options={"colour": 1})
    _is_refused(_raw(name, **strange), f"{key}: ", "colour")


@pytest.mark.parametrize("taken", ["colorsys", "oracle"])
def test_a_module_of_a_name_that_is_taken_is_not_overlooked_in_silence(
    taken: str, module: Callable[..., str], tmp_path: Path
) -> None:
    (tmp_path / f"{taken}.py").write_text(CLASSES)
    _is_refused(
        _raw(module(), oracle={"kind": f"{taken}:Mass"}),
        f"oracle: '{taken}:Mass' cannot be imported",
        rf"{taken}\.py is not it, because another module '{taken}' comes before it .* another name",
    )


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("a b:c", "is not an import path; expected package.module:name"),
        ("module:", "is not an import path"),
        (":name", "is not an import path"),
        ("mas", "allowed: phonon-bte, green, interface, replay, package.module:name"),
    ],
)
def test_a_kind_that_is_neither(kind: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        validate(_raw("my", oracle={"kind": kind}), "config")
    assert "oracle.kind: " in str(caught.value)


MOODS = """
from oracle.contract.evaluation import Measured
from oracle.runtime.errors import OracleError


class Moody:
    fidelity = "mood"
    method_digest = "1"

    def __init__(self, mood):
        self.mood = mood

    def evaluate(self, material, *, context):
        if self.mood == "raise":
            raise ValueError("not today")
        if self.mood == "quit":
            raise SystemExit(1)
        if self.mood == "read":
            raise OracleError("relax", "too soft")
        return 3

    def tightened(self, level):
        return None
"""


@pytest.mark.parametrize(
    ("mood", "stage", "message"),
    [
        ("raise", "worker", "ValueError: not today"),
        ("quit", "worker", "exit: 1"),
        ("read", "relax", "too soft"),
        ("three", "worker", "Moody gave int; expected Measured, Unstable or Failed"),
    ],
)
def test_what_an_own_oracle_raises_is_a_failed_evaluation(
    mood: str, stage: str, message: str, module: Callable[..., str], tmp_path: Path
) -> None:
    classes, name = module(), f"{module(MOODS)}:Moody"
    config = validate(_raw(classes, oracle={"kind": name, "options": {"mood": mood}}), "config")
    space = build_space(config.space)
    (oracle,) = build_oracles(config, space).values()
    found = oracle.evaluate(next(iter(space)), context=Context(tmp_path))
    assert isinstance(found, Failed)
    assert found.stage == stage
    assert message in found.message
    assert found.method == oracle.method_digest


def test_the_method_of_an_own_oracle_is_its_version_its_options_and_its_sources(
    module: Callable[..., str], tmp_path: Path
) -> None:
    name = module()

    def oracle_of(**options: float) -> Oracle:
        config = validate(_raw(name, oracle={"kind": f"{name}:Mass", "options": options}), "c")
        return build_oracles(config, build_space(config.space))["mass"]

    plain = oracle_of()
    assert oracle_of().method_digest == plain.method_digest
    assert oracle_of(scale=2.0).method_digest != plain.method_digest
    tighter = plain.tightened(1)
    assert tighter is not None
    assert tighter.fidelity == "mass"
    assert plain.tightened(2) is None
    (crystal, *_) = build_space(validate(_raw(name), "config").space)
    found = plain.evaluate(crystal, context=Context(tmp_path))
    assert isinstance(found, Measured)
    assert found.method == plain.method_digest
    (tmp_path / f"{name}.py").write_text(CLASSES + "# edited\n")
    digest_of_import.cache_clear()  # as in another process
    assert oracle_of().method_digest != plain.method_digest


# Every place in a config where code may be named.
PHONONS = {"kind": "phonon-bte", "calculator": "7net-0"}
CODE: dict[str, dict[str, Any]] = {
    "space.kind": {"space": {"kind": "os:abort"}},
    "agents.0.kind": {"agents": [{"kind": "os:abort"}]},
    "agents.0.command": {"agents": [{"kind": "external", "command": "os:abort"}]},
    "surrogate.kind": {"surrogate": {"kind": "os:abort"}},
    "surrogate.features": {"surrogate": {"kind": "gaussian-process", "features": "os:abort"}},
    "oracle.kind": {"oracle": {"kind": "os:abort"}},
    "oracle.calculator": {"oracle": {"kind": "phonon-bte", "calculator": "os:abort"}},
    "dft.engine": {"oracle": PHONONS, "dft": {"engine": "os:abort", "max_labels": 4}},
    "dft.committee.0": {
        "oracle": PHONONS, "dft": {"engine": "gpaw", "max_labels": 4, "committee": ["os:abort"]},
    },
}  # fmt: skip


def _plain(**changes: Any) -> dict[str, Any]:
    plain = {
        "name": "plain",
        "space": {"kind": "prototypes", "elements": ["Na", "Cl"]},
        "objective": {"property": "kappa"},
        "oracle": PHONONS,
    }
    return {**plain, **changes}


@pytest.mark.parametrize("key", CODE)
def test_no_code_comes_over_http(key: str, tmp_path: Path) -> None:
    config = validate(_plain(**CODE[key]), "config")  # as the command line takes it
    named = [*marked(config, CodePath), *marked(config, CommandLine)]
    assert (key, "os:abort") in [(at, value) for at, value, _ in named]
    store = Store(tmp_path / "home")
    client = TestClient(create_app(store, "secret"))
    refused = client.post("/campaigns", json={"config": _plain(**CODE[key])}, headers=TOKEN)
    assert refused.status_code == 422
    assert f"{key}: " in refused.json()["detail"]
    assert re.search("'os:abort' is .*, which is not taken over HTTP", refused.json()["detail"])
    assert store.campaigns() == []


@pytest.mark.parametrize("key", ["agents.0.command", "agents.0.kind", "surrogate.kind"])
@pytest.mark.parametrize("store_name", ["os:abort", "/bin/sh -c true"])
def test_what_is_known_as_a_path_is_no_code(key: str, store_name: str, tmp_path: Path) -> None:
    tracking = {"tracking": {"uri": store_name}}
    store = Store(tmp_path / "home")
    Campaign.create(store, validate(_plain(**tracking), "config", remote=True), methods={})
    client = TestClient(create_app(store, "secret"))
    name, value = next(iter(CODE[key].items()))
    text = yaml.safe_dump(value, default_flow_style=True, width=999).strip()
    changes = [f"{name}={text.replace('os:abort', json.dumps(store_name))}"]
    refused = client.post("/campaigns/plain/resume", json={"set": changes}, headers=TOKEN)
    assert refused.status_code == 422, refused.json()
    assert re.search(
        "which is not taken over HTTP|not an import|allowed: ", refused.json()["detail"]
    )


STEERED = {key: value for key, value in CODE.items() if key.partition(".")[0] != "space"}


@pytest.mark.parametrize("key", STEERED)
def test_no_code_comes_with_a_resume_over_http(key: str, tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    Campaign.create(store, validate(_plain(), "config"), methods={})
    client = TestClient(create_app(store, "secret"))
    changes = [
        f"{name}={yaml.safe_dump(value, default_flow_style=True, width=999).strip()}"
        for name, value in CODE[key].items()
    ]
    refused = client.post("/campaigns/plain/resume", json={"set": changes}, headers=TOKEN)
    assert refused.status_code == 422
    assert re.search("'os:abort' is .*, which is not taken over HTTP", refused.json()["detail"])


def test_what_a_campaign_was_launched_with_may_go_on_over_http(
    module: Callable[..., str], tmp_path: Path
) -> None:
    name = module()
    store = Store(tmp_path / "home")
    prepared = prepare(validate(_raw(name), "config"))
    Campaign.create(store, prepared.config, methods=prepared.methods)
    campaign = Campaign(store, "own")
    config = campaign.steered(["budget.oracle_calls=12"], remote=True)
    assert config.budget.oracle_calls == 12
    with pytest.raises(ConfigError, match="not taken over HTTP"):
        campaign.steered([f"agents.1.kind={name}:Other"], remote=True)
    assert set(input_digests(config)) == {"space.kind"}
    assert status(store, "own")["oracle_calls"] == 0


def test_nothing_is_imported_by_validation(module: Callable[..., str], tmp_path: Path) -> None:
    name = module("raise SystemExit('imported')")
    config = validate(_raw(name), "config")
    assert name not in sys.modules
    assert CampaignConfig.model_validate(config.model_dump(mode="json")) == config


def test_an_own_space_is_refused_where_its_materials_do_not_fit(
    module: Callable[..., str],
) -> None:
    layers = {"kind": "green", "calculator": "tersoff"}
    sought = {"property": "conductance", "temperature": 300}
    raw = _raw(module(), oracle=layers, objective=sought)
    _is_refused(raw, "oracle.kind: given 'green'", "holds crystals")
