"""The oracle `phonon-bte` with real potentials, compared with published numbers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from ase.calculators.calculator import Calculator, all_changes
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Failed, Measured, Unstable, caution, scalar
from oracle.contract.protocol import Oracle
from oracle.contract.report import evaluation_json
from oracle.materials.crystal import Crystal, canonicalize
from oracle.materials.material import Material
from oracle.materials.superlattice import Superlattice
from oracle.phonon_bte import conductivity
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

SILICON = Path(__file__).resolve().parents[3] / "shared" / "data" / "phono3py_si"
SMALL = PhononSettings(
    calculator="7net-0", fc2_length=14.0, mesh=(6, 6, 6), bands=False, coherence=False
)
SALT = PhononSettings(
    calculator="7net-0", temperatures=(150.0, 300.0, 2000.0), fc2_length=18.0, mesh=(10, 10, 10)
)


def _binary(spacegroup: str, a: float, species: tuple[str, str], second: float) -> Structure:
    sites = [[0.0] * 3, [second] * 3]
    return Structure.from_spacegroup(spacegroup, Lattice.cubic(a), list(species), sites)


PROMISED = (
    "status",
    "formula",
    "spacegroup",
    "temperature",
    "kappa",
    "kappa_unit",
    "kappa_particle",
    "kappa_coherence",
    "heat_capacity",
    "min_frequency_thz",
    "max_frequency_thz",
    "gruneisen_mean",
    "max_msd",
    "anharmonicity",
    "force_calls",
    "seconds",
    "oracle_digest",
)
NACL = _binary("Fm-3m", 5.64, ("Na", "Cl"), 0.5)


class Broken(Calculator):  # type: ignore[misc]
    """Gives NaN for every force."""

    implemented_properties = ("energy", "forces", "stress")

    def calculate(
        self,
        atoms: object = None,
        properties: object = None,
        system_changes: object = all_changes,
    ) -> None:
        super().calculate(atoms, properties, system_changes)
        n = len(self.atoms)
        self.results = {
            "energy": 0.0,
            "forces": np.full((n, 3), np.nan),
            "stress": np.zeros(6),
        }


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oracle")


@pytest.fixture(scope="module")
def nacl(workdir: Path) -> Measured:
    """Rocksalt NaCl with 7net-0."""
    oracle = PhononBTE(SALT)
    assert isinstance(oracle, Oracle)
    evaluation = oracle.evaluate(
        Crystal.from_structure(NACL), context=Context(workdir, keep_large=True)
    )
    assert isinstance(evaluation, Measured), evaluation
    return evaluation


def test_nacl_lies_where_full_finite_differences_put_it(nacl: Measured) -> None:
    # 111 supercells displaced one pair at a time gave 5.53 to 5.68 W/m/K with the same potential.
    assert nacl.provenance["kappa_on_mesh"][1] == pytest.approx(5.6, rel=0.06)
    kappa = scalar(nacl, "kappa", 300.0)
    assert kappa is not None
    value, std = kappa
    assert std is not None
    assert 0.005 * value < std < 0.15 * value
    assert nacl.properties["force_calls"].value < 40
    assert caution(nacl, 300.0) is None
    hot = caution(nacl, 2000.0)  # beyond melting
    assert hot is not None
    assert "of the force at 2000 K is beyond third order" in hot


def test_tensor_of_a_cubic_crystal_is_isotropic_and_falls_with_temperature(nacl: Measured) -> None:
    kappa = np.array(nacl.properties["kappa"].value)
    assert kappa.shape == (3, 3, 3)
    for tensor in kappa:
        np.testing.assert_allclose(tensor, np.eye(3) * tensor[0, 0], atol=1e-6 * tensor[0, 0])
    assert kappa[0, 0, 0] > kappa[1, 0, 0] > kappa[2, 0, 0]


def test_heat_capacity_reaches_three_boltzmann_constants_per_atom(nacl: Measured) -> None:
    assert np.array(nacl.properties["heat_capacity"].value)[-1] == pytest.approx(3.0, rel=5e-3)


def test_document_has_every_promised_key(nacl: Measured) -> None:
    document = evaluation_json(nacl)
    for key in PROMISED:
        assert document[key] is not None, key
    assert (document["formula"], document["spacegroup"]) == ("NaCl", "Fm-3m")
    assert json.loads(json.dumps(document, allow_nan=False))["status"] == "measured"


def test_files_are_those_that_phonopy_and_phono3py_read(nacl: Measured, workdir: Path) -> None:
    names = {Path(path).name for path in nacl.artefacts.values()}
    assert {"fc2.hdf5", "fc3.hdf5", "relaxed.cif"} <= names
    assert all((workdir / path).is_file() for path in nacl.artefacts.values())


def test_finished_stages_are_not_computed_again(
    nacl: Measured, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object) -> None:
        raise AssertionError("a force was computed again")

    monkeypatch.setattr(Calculator, "calculate", refuse)
    again = PhononBTE(SALT).evaluate(nacl.material, context=Context(workdir, keep_large=True))
    assert again == nacl
    # Another mesh needs the transport stage alone.
    coarse = SALT.model_copy(update={"mesh": (5, 5, 5), "bands": False})
    other = PhononBTE(coarse).evaluate(nacl.material, context=Context(workdir))
    assert isinstance(other, Measured), other


def test_cumulative_conductivities_end_at_the_whole(nacl: Measured, workdir: Path) -> None:
    cumulative = json.loads((workdir / nacl.artefacts["phonons"]).read_text())["cumulative_kappa"]
    whole = np.trace(nacl.properties["kappa_particle"].value[0]) / 3
    for length, running in (("frequency", "kappa"), ("mean_free_path", "kappa_by_length")):
        assert cumulative[running][-1] == pytest.approx(whole, rel=1e-6)
        assert (np.diff(cumulative[running]) >= 0).all()
        assert (np.diff(cumulative[length]) > 0).all()
    # The median mean free path of heat in NaCl at 150 K is some tens of nanometres at most.
    half = np.interp(whole / 2, cumulative["kappa_by_length"], cumulative["mean_free_path"])
    assert 1 < half < 100


def test_elastic_properties_of_nacl(nacl: Measured) -> None:
    # Measured at 300 K: bulk modulus 24.4 GPa, polycrystal velocities 4560 and 2600 m/s within a
    # few per cent; PBE is softer.
    for name, expected in (
        ("bulk_modulus", 24.4),
        ("sound_velocity_longitudinal", 4560.0),
        ("sound_velocity_transverse", 2600.0),
    ):
        assert nacl.properties[name].value == pytest.approx(expected, rel=0.2), name
    kappa, slack = (scalar(nacl, name, 300.0) for name in ("kappa", "kappa_slack"))
    assert kappa is not None
    assert slack is not None
    assert kappa[0] / 3 < slack[0] < kappa[0] * 3


def test_the_harmonic_fidelity_stops_after_second_order(nacl: Measured, workdir: Path) -> None:
    settings = SALT.model_copy(update={"fidelities": ("harmonic", "bte")})
    oracle = PhononBTE(settings, "harmonic")
    assert oracle.fidelity == "harmonic"
    assert PhononBTE(settings).method_digest == PhononBTE(SALT).method_digest
    evaluation = oracle.evaluate(nacl.material, context=Context(workdir))
    assert isinstance(evaluation, Measured), evaluation
    assert evaluation.stage == "stability"
    assert evaluation.properties["force_calls"].value < nacl.properties["force_calls"].value
    kappa = scalar(evaluation, "kappa", 300.0)
    assert kappa is not None
    assert 1 < kappa[0] < 20
    assert kappa[1] is not None


def test_a_converged_mesh_says_how_it_converged(nacl: Measured, workdir: Path) -> None:
    settings = PhononSettings(
        calculator="7net-0", fc2_length=18.0, mesh=(5, 5, 5), bands=False, coherence=False,
        converge=True, tolerance=0.05, converge_meshes=3,
    )  # fmt: skip
    evaluation = PhononBTE(settings).evaluate(nacl.material, context=Context(workdir))
    assert isinstance(evaluation, Measured), evaluation
    history = evaluation.provenance["convergence"]
    assert history[0]["mesh"] == [5, 5, 5]
    assert history[-1]["mesh"] == evaluation.provenance["mesh"]
    logs = np.log([step["kappa"][0] for step in history])
    assert len(history) == 3 or np.abs(np.diff(logs))[-2:].max() < 0.05
    assert history[-1]["kappa"][0] > history[-1]["kappa_on_mesh"][0]


def test_answer_does_not_depend_on_how_the_crystal_is_written(workdir: Path) -> None:
    primitive = NACL.get_primitive_structure()
    primitive.translate_sites([0, 1], [0.1, 0.2, 0.3])
    assert Crystal.from_structure(primitive) == Crystal.from_structure(NACL)


def test_tensors_turn_with_the_crystal() -> None:
    wurtzite = Structure.from_spacegroup(
        "P6_3mc",
        Lattice.hexagonal(3.82, 6.26),
        ["Zn", "S"],
        [[1 / 3, 2 / 3, 0.0], [1 / 3, 2 / 3, 0.3748]],
    )
    crystal, _ = canonicalize(wurtzite)
    # With c along x in the given frame, the element along c must come out at xx.
    turned = Structure(
        Lattice(wurtzite.lattice.matrix[:, [2, 0, 1]]), wurtzite.species, wurtzite.frac_coords
    )
    _, rotation = canonicalize(turned)
    tensor = np.diag([1.0, 1.0, 3.0])
    evaluation = Measured.model_validate(
        {
            "material": crystal,
            "fidelity": "bte",
            "method": "m",
            "cost_s": 1.0,
            "stage": "bte",
            "temperature": (300.0,),
            "properties": {
                "kappa": {"value": [tensor.tolist()], "unit": "W/m/K", "per_temperature": True}
            },
        }
    )
    np.testing.assert_allclose(
        evaluation_json(evaluation, rotation)["kappa"][0], np.diag([3.0, 1.0, 1.0]), atol=1e-9
    )


def test_a_structure_with_imaginary_modes_never_gets_a_conductivity(workdir: Path) -> None:
    # Face-centred tungsten shears itself into the body-centred structure.
    cubic = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.0), ["W"], [[0.0] * 3])
    evaluation = PhononBTE(SMALL).evaluate(Crystal.from_structure(cubic), context=Context(workdir))
    assert isinstance(evaluation, Unstable), evaluation
    assert evaluation.min_frequency is not None
    assert evaluation.min_frequency < -0.5
    assert evaluation.q_point is not None
    document = evaluation_json(evaluation)
    assert document["kappa"] is None
    assert document["min_frequency_thz"] == evaluation.min_frequency


@pytest.mark.parametrize(
    ("calculator", "words"),
    [("tests_broken:Broken", "finite"), ("7net-0", "")],
)
def test_failures_name_their_stage_and_cause(
    calculator: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys
    import types

    module = types.ModuleType("tests_broken")
    module.__file__ = __file__
    module.Broken = Broken  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tests_broken", module)
    material: Material = Crystal.from_structure(NACL)
    if calculator == "7net-0":
        material = Superlattice(sequence="01")
    settings = SMALL.model_copy(update={"calculator": calculator})
    evaluation = PhononBTE(settings).evaluate(material, context=Context(tmp_path))
    assert isinstance(evaluation, Failed)
    assert evaluation.permanent
    assert words in evaluation.message
    assert "\n" not in evaluation.message


def test_a_deadline_is_a_failure_that_may_pass(tmp_path: Path) -> None:
    oracle = PhononBTE(SMALL)
    context = Context(tmp_path, deadline=0.0)
    evaluation = oracle.evaluate(Crystal.from_structure(NACL), context=context)
    assert isinstance(evaluation, Failed)
    assert not evaluation.permanent
    assert "time limit" in evaluation.message


def test_method_digest_follows_what_changes_the_science() -> None:
    plain = PhononBTE(SMALL).method_digest
    assert PhononBTE(SMALL.model_copy()).method_digest == plain
    for change in ({"mesh": (7, 7, 7)}, {"calculator": "chgnet"}, {"isotope": False}):
        assert PhononBTE(SMALL.model_copy(update=change)).method_digest != plain
    assert PhononBTE(SMALL).tightened(1).method_digest != plain


@pytest.mark.skipif(not SILICON.is_dir(), reason=f"no reference data at {SILICON}")
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"isotope": False}, 107.8),
        ({"isotope": True}, 97.0),
        ({"isotope": False, "boundary_um": 1.0}, 76.4),
        ({"isotope": False, "boundary_um": 0.5, "boundary_specularity": 1 / 3}, 76.4),
        ({"isotope": False, "transport": "lbte"}, 110.9),
    ],
)
def test_silicon_from_published_forces(changes: dict[str, object], expected: float) -> None:
    """phono3py's example of Si (PBEsol), 9x9x9, 300 K."""
    import phono3py

    phonons = phono3py.load(
        SILICON / "si_pbesol_222.yaml",
        forces_fc3_filename=SILICON / "FORCES_FC3_si_pbesol",
        log_level=0,
    )
    settings = PhononSettings.model_validate({**changes, "coherence": False})
    transport = conductivity.conductivity(phonons, settings, (9, 9, 9), temperatures=(300.0,))
    assert transport.mean[0] == pytest.approx(expected, rel=0.01)
    if settings.transport == "rta":  # kappa from its own modes, term by term
        modes = np.einsum(
            "q,qb,qb->", transport.weights / 729, _per_mode(transport), transport.lifetimes[0]
        )
        assert modes == pytest.approx(transport.mean[0] * _cell_volume(phonons), rel=1e-3)


def _per_mode(transport: conductivity.Transport) -> np.ndarray:
    """``C v²/3`` of each mode at 300 K in W Å³ / (m K ps): eV/K times THz² Å²."""
    x = 47.99243073366221 * np.maximum(transport.frequencies, 1e-3) / 300.0
    capacity = 8.617333262e-5 * (x / 2 / np.sinh(x / 2)) ** 2
    speed = np.einsum("qbi,qbi->qb", transport.velocities, transport.velocities) / 3
    return np.asarray(capacity * speed * 1602.176634)


def _cell_volume(phonons: object) -> float:
    return float(phonons.primitive.volume)  # type: ignore[attr-defined]


@pytest.mark.slow  # an evaluation of its own
def test_a_body_centred_crystal_gets_a_mesh_of_its_symmetry(workdir: Path) -> None:
    """Its reciprocal vectors differ in length, and symmetry mixes them all the same."""
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    carbon = Structure.from_spacegroup(
        "I4/mmm", Lattice.tetragonal(4.38, 2.51), ["C"], [[0.18, 0.18, 0]]
    )
    quick = PhononSettings(
        calculator="tersoff",
        bands=False,
        fc2_length=6,
        fc3_length=4,
        fc3_cutoff=2,
        pairs_start=4,
        pairs_max=4,
        mesh_spacing=0.6,
    )
    outcome = PhononBTE(quick).evaluate(Crystal.from_structure(carbon), context=Context(workdir))
    assert isinstance(outcome, Measured), outcome
    assert len(set(outcome.provenance["mesh"])) == 1
    kappa = np.array(outcome.properties["kappa"].value)[0]
    np.testing.assert_allclose(kappa[0, 0], kappa[1, 1], rtol=1e-9)
    assert abs(kappa[2, 2] / kappa[0, 0] - 1) > 0.1
