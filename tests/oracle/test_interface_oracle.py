"""The oracle of interfaces: carbon, silicon and germanium with Tersoff's potential."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator
from pydantic import ValidationError
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.contract.evaluation import Failed, Measured, Unstable, scalar
from oracle.contract.protocol import Oracle
from oracle.contract.report import evaluation_json
from oracle.interface import bulk_spectra
from oracle.interface.bulk_spectra import Bulk, side_of
from oracle.interface.mismatch import Spectrum, spectrum_of
from oracle.interface.oracle import VERSION, InterfaceOracle
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.superlattice import Superlattice
from oracle.phonons.harmonic import Stability
from oracle.phonons.relax import relax
from oracle.phonons.second_order import second_order
from oracle.potentials.forces import ForceField, check_elements
from oracle.potentials.table import weights_digest
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError
from oracle.runtime.stages import StageStore

pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")

QUICK = InterfaceSettings(
    calculator="tersoff",
    temperatures=(100.0, 300.0),
    fc2_length=5.0,
    relax_fmax=1e-3,
    stability_spacing=0.3,
    overlap_spacing=0.4,
    mesh_spacing=0.3,
)
CONDUCTANCES = ("interface_conductance", "radiation_limit")


def _crystal(name: str, kind: str | None = None, a: float | None = None) -> Crystal:
    return Crystal.from_structure(AseAtomsAdaptor.get_structure(bulk(name, kind, a=a)))


SILICON, GERMANIUM = _crystal("Si"), _crystal("Ge")
PAIR = Interface(crystals=(SILICON, GERMANIUM))


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Context:
    return Context(tmp_path_factory.mktemp("interfaces"))


@pytest.fixture(scope="module")
def evaluation(context: Context) -> Measured:
    oracle = InterfaceOracle(QUICK)
    assert isinstance(oracle, Oracle)
    outcome = oracle.evaluate(PAIR, context=context)
    assert isinstance(outcome, Measured), outcome
    return outcome


def test_what_is_measured(evaluation: Measured, context: Context) -> None:
    assert 0 < evaluation.properties["overlap"].value < 1
    for name in (*CONDUCTANCES, "interface_conductance_amm"):
        quantity = evaluation.properties[name]
        assert quantity.unit == "W/m²/K"
        cold, warm = quantity.value
        assert 0 < cold < warm < 1e10
    diffuse, most = (np.array(evaluation.properties[name].value) for name in CONDUCTANCES)
    assert np.all(diffuse < most)
    # Mismatch models give 0.2 to 0.4 GW/m²/K for Si | Ge at room temperature.
    assert 1e8 < diffuse[1] < 6e8
    assert all((context.workdir / path).is_file() for path in evaluation.artefacts.values())
    assert set(evaluation.artefacts) == {"first", "second", "spectra"}
    document = evaluation_json(evaluation)
    assert (document["formula"], document["status"]) == ("Ge | Si", "measured")


def test_error_covers_a_denser_mesh(evaluation: Measured, context: Context) -> None:
    denser = InterfaceOracle(QUICK.model_copy(update={"mesh_spacing": 0.18}))
    better = denser.evaluate(PAIR, context=context)
    for name in ("overlap", "interface_conductance"):
        before, after = scalar(evaluation, name, 300.0), scalar(better, name, 300.0)
        assert before is not None
        assert after is not None
        assert before[1] is not None
        assert after[1] is not None
        assert 0 < after[1] < before[1] < 0.4 * before[0]
        assert abs(after[0] - before[0]) < 4 * before[1]


def test_equal_crystals_overlap_and_pass_half(context: Context) -> None:
    same = Interface(crystals=(SILICON, SILICON))
    outcome = InterfaceOracle(QUICK).evaluate(same, context=context)
    assert outcome.properties["overlap"].value == pytest.approx(1.0)
    half, whole = (np.array(outcome.properties[name].value) for name in CONDUCTANCES)
    np.testing.assert_allclose(half, whole / 2)


def test_crystals_are_computed_once_for_all_pairs_and_fidelities(
    evaluation: Measured, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    third = InterfaceOracle(QUICK).evaluate(
        Interface(crystals=(SILICON, _crystal("C"))), context=context
    )
    assert isinstance(third, Measured)

    def refuse(*arguments: object) -> None:
        raise AssertionError("a force was computed again")

    monkeypatch.setattr(Calculator, "calculate", refuse)
    monkeypatch.setattr(Calculator, "get_property", refuse)
    oracle = InterfaceOracle(QUICK)
    assert oracle.evaluate(PAIR, context=context) == evaluation
    fresh = oracle.evaluate(Interface(crystals=(GERMANIUM, _crystal("C"))), context=context)
    assert isinstance(fresh, Measured), fresh
    cheap = InterfaceOracle(QUICK, "overlap").evaluate(PAIR, context=context)
    assert isinstance(cheap, Measured), cheap
    assert cheap.fidelity == "overlap"
    near, dense = (scalar(e, "interface_conductance", 300.0) for e in (cheap, evaluation))
    assert near is not None
    assert near[1] is not None
    assert dense is not None
    assert near[0] == pytest.approx(dense[0], abs=3 * near[1])
    assert near[1] > (dense[1] or 0.0)


def test_a_side_that_leaves_its_structure_is_named(context: Context) -> None:
    strict = QUICK.model_copy(update={"volume_change": 0.05})
    stretched = Interface(crystals=(_crystal("Si", "diamond", 5.8), GERMANIUM))
    outcome = InterfaceOracle(strict).evaluate(stretched, context=context)
    assert isinstance(outcome, Unstable), outcome
    assert outcome.reason.startswith("Si: left its prototype in relaxation: its volume")
    assert outcome.stage == "relax"


def test_imaginary_modes_of_a_side_are_kept(
    tmp_path: Path, evaluation: Measured, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    soft = Stability(-2.0, (0.5, 0.5, 0.0), 10.0, -2.0, stable=False)
    fake = SimpleNamespace(dynamics=None, stability=soft)
    monkeypatch.setattr(bulk_spectra, "second_order", lambda *given: fake)
    shutil.copytree(context.workdir / "stages" / "relax", tmp_path / "stages" / "relax")
    oracle = InterfaceOracle(QUICK)
    outcome = oracle.evaluate(PAIR, context=Context(tmp_path))
    assert isinstance(outcome, Unstable), outcome
    assert outcome.reason in ("Si: imaginary phonon modes", "Ge: imaginary phonon modes")
    assert (outcome.min_frequency, outcome.q_point) == (-2.0, (0.5, 0.5, 0.0))
    monkeypatch.undo()
    # The stored result of a crystal is also used in its other pairs.
    first = PAIR.crystals[0]
    again = oracle.evaluate(Interface(crystals=(first, first)), context=Context(tmp_path))
    assert isinstance(again, Unstable)
    assert (again.reason, again.q_point) == (outcome.reason, outcome.q_point)


def test_failures_say_where(context: Context, tmp_path: Path) -> None:
    oracle = InterfaceOracle(QUICK)
    for stranger in (SILICON, Superlattice(sequence="01")):
        outcome = oracle.evaluate(stranger, context=context)
        assert isinstance(outcome, Failed)
        assert (outcome.stage, outcome.permanent) == ("read", True)
    salt = Interface(crystals=(SILICON, _crystal("NaCl", "rocksalt", 5.64)))
    outcome = oracle.evaluate(salt, context=context)
    assert isinstance(outcome, Failed)
    assert outcome.stage == "relax"
    assert outcome.message.startswith("NaCl: ")
    late = Context(tmp_path, deadline=time.time() - 1)
    outcome = oracle.evaluate(PAIR, context=late)
    assert isinstance(outcome, Failed)
    assert not outcome.permanent


def test_unknown_elements_are_found_before_anything_is_paid_for() -> None:
    check_elements("tersoff", [SILICON, GERMANIUM])
    with pytest.raises(OracleError, match="does not know Cl, Na"):
        check_elements("tersoff", [SILICON, _crystal("NaCl", "rocksalt", 5.64)])


def test_method_is_of_what_changes_its_numbers() -> None:
    base = InterfaceOracle(QUICK).method_digest
    same = QUICK.model_copy(update={"fidelities": ("mismatch",), "overlap_spacing": 0.35})
    assert InterfaceOracle(same).method_digest == base
    assert InterfaceOracle(same, "overlap").method_digest != base
    for change in ({"axis": 0}, {"frequency_step": 0.5}, {"mesh_spacing": 0.2}):
        assert InterfaceOracle(QUICK.model_copy(update=change)).method_digest != base
    assert InterfaceOracle(QUICK).tightened(1).method_digest != base


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"temperatures": (300.0, 300.0)}, "ascending"),
        ({"fidelities": ("mismatch", "overlap")}, "cheapest first"),
        ({"mesh_spacing": 0.5}, "at most overlap_spacing"),
        ({"axis": 3}, "axis"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        InterfaceSettings.model_validate(settings)


@pytest.mark.parametrize("axis", [0, 2])
def test_irreducible_points_stand_for_all(context: Context, axis: int) -> None:
    plain = QUICK.harmonic()
    forces = ForceField("tersoff", StageStore(context.workdir / "stages"), context)

    def at_once(stage: str, work):  # type: ignore[no-untyped-def]
        return work()

    phonons = second_order(relax(SILICON, plain, forces), plain, forces, at_once).dynamics
    reduced = spectrum_of(phonons, (5, 5, 5), step=1.0, number=18, axis=axis)
    phonons.run_mesh(
        (5, 5, 5), with_group_velocities=True, is_mesh_symmetry=False, is_gamma_center=True
    )
    mesh = phonons.mesh
    whole = Spectrum.of(
        np.asarray(mesh.frequencies),
        np.asarray(mesh.group_velocities)[:, :, axis],
        np.asarray(mesh.weights, dtype=float),
        volume=float(phonons.primitive.volume),
        step=1.0,
        number=18,
    )
    np.testing.assert_allclose(reduced.density, whole.density, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(reduced.crossing, whole.crossing, rtol=1e-6, atol=1e-12)
    side = side_of(SILICON, QUICK, 0.3, forces, at_once)
    assert isinstance(side.bulk, Bulk)
    np.testing.assert_allclose(
        side.bulk.spectrum.density.sum() * QUICK.frequency_step, 6 / 40, rtol=0.1
    )


def test_cautions_about_either_side_are_those_of_the_pair(context: Context) -> None:
    swelling = Interface(crystals=(SILICON, _crystal("Ge", "diamond", 5.2)))
    outcome = InterfaceOracle(QUICK).evaluate(swelling, context=context)
    assert isinstance(outcome, Measured), outcome
    assert "relaxation scaled the structure of Ge: volume by +" in str(outcome.low_confidence)
    assert len(outcome.cautions) == len(outcome.temperature)
    assert all("structure of Ge" in str(text) for text in outcome.cautions)


def test_dispersion_makes_another_method_and_none_leaves_it_as_it_was() -> None:
    settings = InterfaceSettings(calculator="7net-0")
    document = settings.model_dump(mode="json", exclude={"fidelities", "overlap_spacing"})
    del document["dispersion"]
    expected = digest_of(
        {
            "oracle": "interface", "version": VERSION, "fidelity": "mismatch",
            "settings": document, "weights": weights_digest("7net-0"),
        }
    )  # fmt: skip
    assert InterfaceOracle(settings).method_digest == expected
    assert settings.harmonic().potential == "7net-0"
    with pytest.raises(ValidationError, match="and dispersion: d3"):
        InterfaceSettings(calculator="7net-0+d3")
    pytest.importorskip("dftd3")
    corrected = settings.model_copy(update={"dispersion": "d3"})
    assert corrected.harmonic().potential == corrected.potential == "7net-0+d3"
    assert InterfaceOracle(corrected).method_digest != expected
