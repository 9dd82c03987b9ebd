"""Configs: short forms, defaults, and rejected values."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from pymatgen.core.composition import Composition

from agents.chemistry.element_supply import SUPPLY
from agents.contract.constraints import before, computed, limits, needs_energies
from agents.contract.objective import Objective
from agents.contract.settings import (
    CONSTRAINT_LIMITS,
    NEVER_NEGATIVE,
    ConstraintSettings,
    ObjectiveSettings,
)
from agents.proposers.defaults import agent_names
from agents.proposers.settings import AgentSettings
from agents.selection.settings import SelectionSettings
from agents.spaces.prototype_table import prototype
from agents.spaces.settings import PrototypeSpaceSettings, SpaceSettings
from oracle.contract.evaluation import Measured, Quantity, Unstable
from oracle.materials.superlattice import Superlattice

CONSTRAINT: TypeAdapter[ConstraintSettings] = TypeAdapter(ConstraintSettings)
AGENT: TypeAdapter[Any] = TypeAdapter(AgentSettings)
SPACE: TypeAdapter[Any] = TypeAdapter(SpaceSettings)
SALT = prototype("rocksalt").decorate(("Na", "Cl"), (1, -1))


@pytest.mark.parametrize("written", ["dynamically_stable", "non_metal", {"max_atoms": 8.0}])
def test_constraints_read_and_write_their_short_form(written: Any) -> None:
    parsed = CONSTRAINT.validate_python(written)
    assert CONSTRAINT.dump_python(parsed, mode="json") == written
    assert CONSTRAINT.validate_json(CONSTRAINT.dump_json(parsed)) == parsed


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("stable", "allowed: dynamically_stable"),
        ({"hardness": 3}, "allowed: dynamically_stable"),
        ({"non_metal": 1}, "takes no limit"),
        ("max_atoms", "needs an upper limit"),
        ({"max_atoms": "many"}, "valid number"),
        ({"max_atoms": 1, "non_metal": 1}, "Extra inputs"),
    ],
)
def test_bad_constraints_are_refused(written: Any, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        CONSTRAINT.validate_python(written)


@pytest.mark.parametrize(
    ("model", "given", "message"),
    [
        (ObjectiveSettings, {"goal": "target"}, "needs a number"),
        (ObjectiveSettings, {"target": 3}, "needs goal: target"),
        (ObjectiveSettings, {"goal": "target", "target": -1}, "above 0"),
        (ObjectiveSettings, {"temperature": -5}, "greater than 0"),
        (ObjectiveSettings, {"direction": [0, 0, 0]}, "not zero"),
        (ObjectiveSettings, {"direction": [1e-200, 0, 0]}, "not zero"),
        (PrototypeSpaceSettings, {"prototypes": ["diamond"]}, "allowed: rocksalt"),
        (PrototypeSpaceSettings, {"elements": ["Xx"]}, "not an element"),
        (PrototypeSpaceSettings, {"elements": ["Na"], "exclude_elements": ["Na"]}, "nothing"),
        (PrototypeSpaceSettings, {"element": ["Na"]}, "Extra inputs"),
        (SelectionSettings, {"hole_share": 0.8, "audit_share": 0.3}, "must not exceed 1"),
    ],
)
def test_bad_settings_are_refused(model: Any, given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        model.model_validate(given)


def test_objectives_have_the_temperature_they_need() -> None:
    assert ObjectiveSettings().temperature == 300.0
    assert ObjectiveSettings(temperature=500).temperature == 500.0
    assert ObjectiveSettings(property="conductance").temperature is None
    assert ObjectiveSettings().in_log
    assert not ObjectiveSettings(property="formation_energy").in_log


def test_kinds_choose_the_settings() -> None:
    assert AGENT.validate_python({"kind": "bayesian"}).acquisition == "log-ei"
    assert SPACE.validate_python({"kind": "pool", "path": "x"}).on_error == "stop"
    with pytest.raises(ValidationError, match="substitution"):
        AGENT.validate_python({"kind": "magic"})
    with pytest.raises(ValidationError, match="at least one"):
        AGENT.validate_python({"kind": "evolution", "crossover": 0, "mutation": 0, "strain": 0})


def test_agents_of_one_kind_have_different_names() -> None:
    kinds = [{"kind": k} for k in ("bayesian", "random", "bayesian", "bayesian")]
    agents = tuple(AGENT.validate_python(kind) for kind in kinds)
    assert agent_names(agents) == ("bayesian", "random", "bayesian-2", "bayesian-3")


def test_settings_import_nothing_heavy() -> None:
    code = (
        "import sys, agents.spaces.settings, agents.proposers.settings, agents.selection.settings; "
        "heavy = {'numpy', 'torch', 'pymatgen', 'smact', 'botorch'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def constraints(*written: Any) -> list[ConstraintSettings]:
    return [CONSTRAINT.validate_python(w) for w in written]


def test_rejection_by_composition() -> None:
    assert before(constraints("non_metal", {"max_atoms": 2}), SALT) is None
    reason = before(constraints({"max_atoms": 1}), SALT)
    assert reason == "max_atoms is 2, above the limit of 1 (atoms in the primitive cell)"
    metal = prototype("cscl").decorate(("Ti", "Ni"))
    assert "metal" in str(before(constraints("non_metal"), metal))
    assert before(constraints("non_metal", {"max_atoms": 1}), Superlattice(sequence="01")) is None


def test_rejection_by_energies() -> None:
    both = constraints({"energy_above_best_polymorph": 0.05}, {"formation_energy": 0.0})
    assert needs_energies(both)
    assert not needs_energies(constraints("non_metal"))
    fine = {"energy_above_best_polymorph": 0.05, "formation_energy": -1.0}
    assert computed(both, fine) is None
    assert computed(both, {"formation_energy": None}) is None
    assert "formation_energy is 0.1" in str(computed(both, {**fine, "formation_energy": 0.1}))
    assert computed(both, {"energy_above_best_polymorph": float("nan")}) is not None


def test_rejection_by_measured_properties() -> None:
    common = {"material": SALT, "fidelity": "bte", "method": "m", "cost_s": 1.0}
    measured = Measured(
        stage="bte",
        temperature=(100.0, 300.0),
        properties={
            "max_msd": Quantity(value=[0.01, 0.06], unit="Å²", per_temperature=True),
            "anharmonicity": Quantity(value=0.2, unit=""),
        },
        **common,
    )

    def objective(temperature: float, *given: object) -> Objective:
        return Objective(
            "anharmonicity", temperature, log=False, limits=limits(constraints(*given))
        )

    assert objective(100.0, {"max_msd": 0.05}).refusal(measured) is None
    assert "max_msd is 0.06" in str(objective(300.0, {"max_msd": 0.05}).refusal(measured))
    assert objective(300.0, {"anharmonicity": 0.3}, {"gruneisen_mean": 1}).refusal(measured) is None
    # A material that exceeds a limit has no score.
    assert objective(100.0, {"max_msd": 0.05}).score_of(measured) == pytest.approx(-0.2)
    assert objective(300.0, {"max_msd": 0.05}).score_of(measured) is None
    assert objective(300.0).score_of(Unstable(stage="stability", **common)) is None


def test_rejection_by_elements() -> None:
    assert before(constraints({"with_elements": ["Na"]}, {"without_elements": ["K"]}), SALT) is None
    assert before(constraints({"without_elements": ["Pb", "Cl"]}), SALT) == "NaCl contains Cl"
    assert before(constraints({"with_elements": ["Na", "Li"]}), SALT) == "NaCl has no Li"
    assert before(constraints({"atomic_fraction": {"Cl": 0.5, "Te": 0}}), SALT) is None
    reason = before(constraints({"atomic_fraction": {"Cl": 0.4}}), SALT)
    assert reason == "0.5 of the atoms of NaCl are Cl, above 0.4"


def test_rejection_by_what_elements_cost() -> None:
    assert before(constraints({"price": 100}, {"hhi_production": 2500}), SALT) is None
    assert "price is 99.25, above" in str(before(constraints({"price": 90}), SALT))
    unknown = prototype("rocksalt").decorate(("Tc", "O"))
    reason = before(constraints({"hhi_reserve": 9000}), unknown)
    assert reason == "hhi_reserve of TcO is not known, as of one of its elements"


def test_indices_of_supply_are_those_of_another_package() -> None:
    import smact

    compared = 0
    for symbol in ("Li", "Na", "Mg", "Si", "S", "Zn", "Ge", "Te", "La", "Pb", "Bi"):
        ours = [SUPPLY[name](Composition(symbol)) for name in ("hhi_production", "hhi_reserve")]
        theirs = smact.Element(symbol)
        assert ours == [theirs.HHI_p, theirs.HHI_r], symbol
        compared += 1
    assert compared == 11
    mixed = SUPPLY["price"](Composition("MgTe"))
    share = 24.305 / (24.305 + 127.6)  # by mass
    assert mixed == pytest.approx(share * 4.960395 + (1 - share) * 348.991346)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("with_elements", "needs elements"),
        ({"without_elements": []}, "needs elements"),
        ({"without_elements": ["Xx"]}, "'Xx' is not an element"),
        ({"atomic_fraction": {"Te": 1.5}}, "less than or equal to 1"),
        ({"without_element": ["Pb"]}, "is not a constraint; did you mean .without_elements"),
        ({"price": ["Pb"]}, "valid number"),
        ({"price": -1}, "at least 0"),
        ({"price": float("inf")}, "finite"),
        ({"energy_above_hull": float("nan")}, "finite"),
        ({"price": True}, "expected a number"),
        ({"name": "price", "limit": 5, "elements": ["Pb"]}, "elements is given, leave it out"),
        ({"name": "without_elements", "limit": 3, "elements": ["Pb"]}, "limit is given"),
        ({"name": "atomic_fraction", "elements": ["Pb"]}, "elements is given"),
        ({"name": "dynamically_stable", "elements": ["Pb"]}, "takes no elements"),
    ],
)
def test_constraints_on_elements_that_mean_nothing(given: Any, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        constraints(given)


@pytest.mark.parametrize(
    "given",
    ["non_metal", {"price": 50.0}, {"without_elements": ["Pb"]}, {"atomic_fraction": {"Te": 0.2}}],
)
def test_constraints_are_written_as_they_were_given(given: Any) -> None:
    (constraint,) = constraints(given)
    assert CONSTRAINT.dump_python(constraint, mode="json") == given
    long = constraint.__dict__ | {"name": constraint.name}
    named = {key: value for key, value in long.items() if value not in (None, (), {})}
    assert constraints(named) == [constraint]
    assert CONSTRAINT.validate_json(CONSTRAINT.dump_json(constraint)) == constraint


def test_every_constraint_is_checked_somewhere() -> None:
    tests = {"dynamically_stable", "non_metal"}
    for name in CONSTRAINT_LIMITS:
        if name in tests:
            continue
        (constraint,) = constraints({name: 0.0 if name in NEVER_NEGATIVE else -1.0e9})
        measured = Measured(
            material=SALT,
            fidelity="bte",
            method="m",
            cost_s=1.0,
            stage="bte",
            properties={name: Quantity(value=1.0, unit="")},
        )
        reasons = [
            before([constraint], SALT),
            computed([constraint], {name: 1.0}),
            Objective(limits=limits([constraint])).refusal(measured),
        ]
        assert any(reasons), name
