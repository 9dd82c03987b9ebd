"""Kappa by full solution of the Boltzmann equation, beside that by relaxation times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured, quantity_of, scalar
from oracle.contract.report import evaluation_json
from oracle.materials.crystal import Crystal
from oracle.phonon_bte import full_solution as module
from oracle.phonon_bte.conductivity import conductivity
from oracle.phonon_bte.convergence import Solution
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.runtime.context import Context

SILICON = Path(__file__).resolve().parents[3] / "shared" / "data" / "phono3py_si"
SMALL = PhononSettings(
    calculator="ase.calculators.emt:EMT",
    temperatures=(300.0, 600.0),
    fc2_length=7.0,
    fc3_length=6.0,
    fc3_cutoff=3.5,
    pairs_start=4,
    pairs_max=4,
    mesh=(7, 7, 7),
    bands=False,
)
BOTH = SMALL.model_copy(update={"full_solution": True})


@pytest.fixture(scope="module")
def workdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("full")


@pytest.fixture(scope="module")
def alloy() -> Crystal:
    """CuAu in the tetragonal structure L1_0, which conducts differently along c."""
    structure = Structure(Lattice.tetragonal(2.83, 3.72), ["Cu", "Au"], [[0.0] * 3, [0.5] * 3])
    return Crystal.from_structure(structure)


def _measured(settings: PhononSettings, crystal: Crystal, workdir: Path) -> Measured:
    evaluation = PhononBTE(settings).evaluate(crystal, context=Context(workdir))
    assert isinstance(evaluation, Measured), evaluation
    return evaluation


def test_it_is_given_beside_the_other_and_changes_nothing_else(
    alloy: Crystal, workdir: Path
) -> None:
    plain, both = (_measured(each, alloy, workdir) for each in (SMALL, BOTH))
    assert quantity_of(plain, "kappa_lbte") is None
    assert both.properties.keys() - plain.properties.keys() == {"kappa_lbte"}
    for name in ("kappa", "kappa_coherence", "heat_capacity"):
        assert both.properties[name] == plain.properties[name]
    record = both.provenance["full_solution"]
    assert record["mesh"] == [5, 5, 5]
    for kelvin, factor in zip((300.0, 600.0), record["factor"], strict=True):
        single, full = scalar(both, "kappa", kelvin), scalar(both, "kappa_lbte", kelvin)
        assert single is not None
        assert full is not None
        assert single[1] is not None
        # Normal processes are no resistance, so that the full solution conducts better; the
        # particle part alone is multiplied.
        assert 1.0 < full[0] / single[0] <= factor
        relative = np.hypot(single[1] / single[0], module.FACTOR_ERROR)
        assert full[1] == pytest.approx(full[0] * relative)


def test_its_tensor_is_that_of_the_solution_by_itself(alloy: Crystal, workdir: Path) -> None:
    both = _measured(BOTH, alloy, workdir)
    alone = _measured(SMALL.model_copy(update={"transport": "lbte"}), alloy, workdir)
    given, other = (
        np.array(e.properties[n].value) for e, n in ((both, "kappa_lbte"), (alone, "kappa"))
    )
    # The two may choose other amplitudes for the fit, and differ in the waves between the points.
    np.testing.assert_allclose(given, other, rtol=0.08, atol=1e-6)
    assert given[0, 2, 2] != pytest.approx(given[0, 0, 0], rel=0.02)
    np.testing.assert_allclose(given[:, 0, 0], given[:, 1, 1], rtol=1e-6)
    # It is turned into the frame of a file as kappa is.
    assert np.shape(evaluation_json(both)["kappa_lbte"]) == (2, 3, 3)


def test_the_method_without_it_is_as_before() -> None:
    assert PhononBTE(SMALL).method_digest != PhononBTE(BOTH).method_digest
    assert PhononBTE(BOTH).tightened(1).settings.full_solution
    alone = SMALL.model_copy(update={"transport": "lbte"})
    assert PhononBTE(alone).tightened(1).settings.transport == "lbte"
    with pytest.raises(ValueError, match="expected transport: rta"):
        PhononSettings(transport="lbte", full_solution=True)


@pytest.mark.slow
@pytest.mark.skipif(not SILICON.is_dir(), reason=f"no reference data at {SILICON}")
def test_silicon_from_published_forces(monkeypatch: pytest.MonkeyPatch) -> None:
    """phono3py's example of Si (PBEsol), 300 K: 107.8 and 110.9 W/m/K on a 9x9x9 mesh."""
    import phono3py

    phonons = phono3py.load(
        SILICON / "si_pbesol_222.yaml",
        forces_fc3_filename=SILICON / "FORCES_FC3_si_pbesol",
        log_level=0,
    )
    settings = PhononSettings(isotope=False, coherence=False)
    on_mesh = conductivity(phonons, settings, (9, 9, 9))
    solved = Solution(on_mesh, on_mesh)
    quick = module.full_solution(phonons, solved, settings)
    monkeypatch.setattr(module, "COARSER", 1.0)
    found = module.full_solution(phonons, solved, settings)
    assert not isinstance(found, str)
    assert not isinstance(quick, str)
    assert quick.mesh == (6, 6, 6)
    assert quick.factor[0] == pytest.approx(found.factor[0], rel=0.03)
    assert found.factor[0] == pytest.approx(110.9 / 107.8, rel=3e-3)
    np.testing.assert_allclose(found.kappa[0], 110.9 * np.eye(3), rtol=0.01, atol=1e-3)
    # With many modes the factor comes from a coarser mesh, and with far too many there is none.
    monkeypatch.setattr(module, "MOST_ROWS", 400)
    coarse = module.full_solution(phonons, solved, settings)
    assert not isinstance(coarse, str)
    assert coarse.mesh < (9, 9, 9)
    assert coarse.factor[0] == pytest.approx(found.factor[0], rel=0.03)
    monkeypatch.setattr(module, "MOST_ROWS", 10)
    assert "too many modes" in str(module.full_solution(phonons, solved, settings))
