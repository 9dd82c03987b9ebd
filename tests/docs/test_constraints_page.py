"""The page on constraints names all of them, and its example is one."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from pydantic import TypeAdapter
from pymatgen.core.composition import Composition

from agents.chemistry.element_supply import price
from agents.contract.constraints import ON_MEASUREMENTS, before
from agents.contract.settings import CONSTRAINT_LIMITS, ELEMENT_CONSTRAINTS, ConstraintSettings
from agents.spaces.prototype_table import prototype

PAGE = (Path(__file__).parents[2] / "docs" / "constraints.md").read_text()


def test_all_constraints_are_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?)\|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {*CONSTRAINT_LIMITS, *ELEMENT_CONSTRAINTS} - set(ON_MEASUREMENTS)


def test_the_example_does_what_it_says() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    adapter = TypeAdapter(tuple[ConstraintSettings, ...])
    constraints = adapter.validate_python(yaml.safe_load(block)["constraints"])
    assert before(constraints, prototype("rocksalt").decorate(("Na", "Cl"))) is None
    for elements, reason in (
        (("Pb", "Te"), "contains Pb"),
        (("Ca", "Te"), "atoms of CaTe are Te"),
        (("K", "F"), "price"),
    ):
        rejected = before(constraints, prototype("rocksalt").decorate(elements))
        assert rejected is not None
        assert reason in rejected


def test_the_price_that_it_quotes() -> None:
    assert f"NaCl comes out at {price(Composition('NaCl')):.0f} USD/kg" in PAGE
