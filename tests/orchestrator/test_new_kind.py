"""A kind of material that this program does not know, added without changing any of its files.

`molecule-in-a-box` is a molecule in a cubic box that repeats. All that is known of it stands here:
its class, its space and its oracle, and one profile in each table of kinds. The loop, the store,
the executors and the tracking hold no such table.
"""

from __future__ import annotations

import ast
import functools
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from ase.build import molecule
from ase.data import atomic_masses
from ase.symbols import symbols2numbers
from click.testing import CliRunner

from agents.proposers.settings import BayesianSettings, RandomSettings
from agents.spaces.finite import INDICES, FiniteSpace
from agents.spaces.index import Index
from oracle.contract.evaluation import EVALUATION, Measured, Quantity
from oracle.materials.crystal import BaseMaterial
from oracle.materials.material import MATERIALS
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from orchestrator.app.cli import main
from orchestrator.assembly.build import build_space, surrogate_settings
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.config.kinds import KINDS, KindRules
from orchestrator.config.loading import validate
from orchestrator.plots.figures import DRAWN
from orchestrator.queries.material_files import KIND_FILES, KindFiles
from orchestrator.queries.queries import best, show, status
from orchestrator.store.store import Store
from surrogate.contract.settings import GaussianProcessSettings
from surrogate.features.inputs import Group, Inputs
from surrogate.features.material_inputs import KIND_INPUTS, KindInputs

ROOT = Path(__file__).resolve().parents[2]
KIND = "molecule-in-a-box"
NAMES = ("H2O", "NH3", "CH4", "CO2", "C2H4", "C2H6", "SO2", "HCN", "H2CO", "CH3OH", "SiH4", "PH3")
BOXES = (8.0, 10.0, 12.0)


class BoxedMolecule(BaseMaterial):
    """A molecule in a cubic box."""

    kind: Literal["molecule-in-a-box"] = "molecule-in-a-box"
    molecule: str
    box: float
    """Å."""

    @property
    def formula(self) -> str:
        """Formula and box, for instance ``H2O in 10 Å``."""
        return f"{self.molecule} in {self.box:g} Å"

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of both."""
        return digest_of({"kind": self.kind, "molecule": self.molecule, "box": round(self.box, 3)})

    @property
    def mass(self) -> float:
        """u."""
        return float(molecule(self.molecule).get_masses().sum())


class SameMolecule(Index):
    """The same molecule in other boxes, the nearest first."""

    def neighbours(self, at: int) -> list[int]:
        """See `Index`."""
        here = self.members[at]
        others = [i for i, m in self.members.items() if i != at and m.molecule == here.molecule]
        return sorted(others, key=lambda i: abs(self.members[i].box - here.box))


class MoleculeInputs(KindInputs):
    """Mass, atoms and box."""

    def inputs(self, materials: Sequence[Any]) -> Inputs:
        """See `KindInputs`."""
        n = len(materials)
        table = np.array([[m.mass, len(molecule(m.molecule)), m.box] for m in materials])
        nodes, edges = np.zeros((n, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32)
        return Inputs(
            n=n,
            groups=(Group(np.arange(n), nodes, edges),),
            blocks=(np.log(table),),
            spreads=(np.ones(3),),
            mirrors=(np.arange(3),),
            descriptors={},
        )


def boxes() -> FiniteSpace:
    """Some molecules in boxes of some sizes."""
    members = [BoxedMolecule(molecule=name, box=box) for name in NAMES for box in BOXES]
    return FiniteSpace(members, [m.formula for m in members])


class Density:
    """Mass per volume."""

    fidelity = "density"
    method_digest = digest_of({"oracle": "density", "version": 1})

    def evaluate(self, material: BoxedMolecule, *, context: Context) -> Measured:
        """See `oracle.contract.protocol.Oracle`."""
        return Measured(
            material=material,
            fidelity=self.fidelity,
            method=self.method_digest,
            cost_s=0.0,
            stage="density",
            properties={"density": Quantity(value=material.mass / material.box**3, unit="u/Å³")},
        )

    def tightened(self, level: int) -> Density | None:
        """See `oracle.contract.protocol.Oracle`."""
        return self if level < 2 else None


PROFILES: dict[str, tuple[dict[str, Any], Any]] = {
    "oracle/materials/material.py": (MATERIALS, BoxedMolecule),
    "surrogate/features/material_inputs.py": (KIND_INPUTS, MoleculeInputs),
    "agents/spaces/finite.py": (INDICES, SameMolecule),
    "orchestrator/config/kinds.py": (
        KINDS,
        KindRules(
            described="molecules in boxes",
            oracles=(),
            surrogates=("gaussian-process", "multi-fidelity"),
            agents=("bayesian", "random", "substitution"),
            default_agents=(BayesianSettings(), RandomSettings()),
            default_surrogate=lambda oracle: GaussianProcessSettings(features="none"),
            from_potential=False,
        ),
    ),
    "orchestrator/queries/material_files.py": (KIND_FILES, KindFiles("molecules in boxes")),
}
"""What is said of the kind, by the file whose table it would be a line of."""


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kind is known."""
    for table, profile in PROFILES.values():
        monkeypatch.setitem(table, KIND, profile)
    # The space and the oracle are named by the import path of this module.
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setitem(sys.modules, "test_new_kind", sys.modules[__name__])


def _raw(**changes: Any) -> dict[str, Any]:
    return {
        "name": "boxes",
        "space": {"kind": "test_new_kind:boxes"},
        "objective": {"property": "density", "goal": "maximize", "log": True},
        "constraints": ["dynamically_stable"],
        "oracle": {"kind": "test_new_kind:Density"},
        "budget": {"batch": 4, "oracle_calls": 16},
        "confirmation": {"leaders": 2},
        "executor": {"kind": "serial"},
        "tracking": {"enabled": False},
        **changes,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("boxes")


def _command(*words: str) -> str:
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return done.stdout


def _density(material: BoxedMolecule) -> float:
    numbers = molecule(material.molecule).get_chemical_formula()
    return float(atomic_masses[symbols2numbers(numbers)].sum()) / material.box**3


def test_launch_best_show_export_and_resume(folder: Path) -> None:
    (folder / "boxes.yaml").write_text(json.dumps(_raw()))
    home = ("--home", str(folder / "home"))
    _command("launch", str(folder / "boxes.yaml"), *home)
    store = Store(folder / "home")
    rows = best(store, "boxes", 40)
    truth = {m.formula: _density(m) for m in boxes()}  # type: ignore[arg-type]
    assert len(rows) == 16
    assert {r["formula"]: r["value"] for r in rows} == pytest.approx(
        {r["formula"]: truth[r["formula"]] for r in rows}
    )
    assert rows[0]["confirmed"]
    # Learned from, the densest is found in a half of what there is.
    assert rows[0]["formula"] == max(truth, key=lambda name: truth[name]) == "SO2 in 8 Å"
    assert {row["agent"] for row in rows} <= {"bayesian", "random", "hole", "audit"}
    assert "SO2 in 8 Å" in _command("best", "boxes", *home)
    assert show(store, rows[0]["candidate"])["formula"] == "SO2 in 8 Å"
    assert json.loads(Path(rows[0]["file"]).read_text())["kind"] == KIND
    _command("export", "boxes", str(folder / "out"), "--format", "json", *home)
    refused = CliRunner().invoke(main, ["export", "boxes", str(folder / "x"), *home])
    assert "molecules in boxes have no cif; use --format json" in refused.stderr
    _command("resume", "boxes", "--set", "budget.oracle_calls=20", *home)
    assert status(store, "boxes")["oracle_calls"] == 20


def test_the_profile_is_what_a_config_is_checked_by() -> None:
    config = validate(_raw(), "config")
    settings = surrogate_settings(config, build_space(config.space))
    assert settings == GaussianProcessSettings(features="none")
    config = validate(_raw(surrogate={"kind": "graph-ensemble"}), "config")
    with pytest.raises(ValueError, match=r"'graph-ensemble'.*molecules in boxes.*multi-fidelity"):
        config.check_kind(KIND)


def test_a_kind_without_a_profile_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from orchestrator.assembly.prepared import prepare

    monkeypatch.delitem(KINDS, KIND)
    with pytest.raises(ConfigError, match=f"kind '{KIND}', which has no profile"):
        prepare(CampaignConfig.model_validate(_raw()))


def test_an_evaluation_of_the_kind_is_read_back() -> None:
    (first, *_) = boxes()
    assert isinstance(first, BoxedMolecule)
    found = Density().evaluate(first, context=Context(Path()))
    assert EVALUATION.validate_json(EVALUATION.dump_json(found)) == found
    with pytest.raises(ValueError, match="a material of kind 'dream'; expected one of crystal"):
        EVALUATION.validate_python({**found.model_dump(), "material": {"kind": "dream"}})


def _tables() -> Iterator[str]:
    """Files of this program that hold a table by the kind of material."""
    for layer in ("oracle", "surrogate", "agents", "orchestrator"):
        for path in sorted((ROOT / layer).rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                value = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
                if not isinstance(value, ast.Dict):
                    continue
                keys = {k.value for k in value.keys if isinstance(k, ast.Constant)}
                if {"crystal", "superlattice"} <= keys:
                    yield path.relative_to(ROOT).as_posix()


def test_there_are_few_tables_and_none_where_campaigns_run() -> None:
    """At most eight files are touched for a new kind, pictures of its own among them."""
    tables = set(_tables())
    assert tables == set(PROFILES)
    assert "superlattice" in DRAWN  # pictures of its own, which a kind need not have
    assert len(tables) + 1 <= 8
    rooms = {name.rpartition("/")[0] for name in tables}
    assert not rooms & {"orchestrator/running", "orchestrator/store", "orchestrator/executors",
                        "orchestrator/tracking"}  # fmt: skip
