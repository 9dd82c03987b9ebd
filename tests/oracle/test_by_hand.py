"""The transport stage against phono3py run by hand, exact limits, and forces in several threads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import phono3py
import pytest
from ase import Atoms
from ase.build import bulk
from phono3py import Phono3py
from phono3py.phonon.degeneracy import average_over_degenerate_sets
from phono3py.phonon3.interaction import Interaction

from oracle.phonon_bte import conductivity, phase_space
from oracle.phonon_bte.degenerate import averaged
from oracle.phonon_bte.shortest import triples_at_once
from oracle.phonons import supercells
from oracle.phonons.atomic_data import phonopy_cell
from oracle.phonons.settings import PhononSettings
from oracle.potentials.forces import ForceField
from oracle.potentials.table import copies_may_share
from oracle.runtime.context import Context
from oracle.runtime.stages import StageStore

SILICON = Path(__file__).resolve().parents[3] / "shared" / "data" / "phono3py_si"
MESH = (9, 9, 9)
needs_silicon = pytest.mark.skipif(not SILICON.is_dir(), reason=f"no reference data at {SILICON}")


@pytest.fixture(scope="module")
def silicon() -> Phono3py:
    return phono3py.load(
        SILICON / "si_pbesol_222.yaml",
        forces_fc3_filename=SILICON / "FORCES_FC3_si_pbesol",
        log_level=0,
    )


@needs_silicon
@pytest.mark.parametrize(
    ("changes", "by_hand"),
    [
        ({}, {}),
        ({"isotope": True}, {"is_isotope": True}),
        ({"boundary_um": 0.3}, {"boundary_mfp": 0.3}),
        ({"coherence": True}, {"transport_type": "SMM19"}),
        ({"transport": "lbte"}, {"is_LBTE": True}),
    ],
    ids=["rta", "isotope", "boundary", "coherence", "full"],
)
def test_each_term_is_that_of_phono3py_by_hand(
    silicon: Phono3py, changes: dict[str, Any], by_hand: dict[str, Any]
) -> None:
    settings = PhononSettings.model_validate({"isotope": False, "coherence": False, **changes})
    ours = conductivity.conductivity(silicon, settings, MESH, temperatures=(300.0,))
    silicon.mesh_numbers = list(MESH)
    # Without these averages the eigenvectors that a processor's library picks among degenerate
    # modes move phono3py's own off-diagonal part by 0.2 %.
    silicon.init_phph_interaction(
        average_degenerate_weights=True, symmetrize_tetrahedra=True, exclude_gamma_acoustic=True
    )
    silicon.run_thermal_conductivity(temperatures=[300.0], log_level=0, **by_hand)
    theirs = np.asarray(silicon.thermal_conductivity.kappa)[0, 0, :3].mean()
    assert ours.mean[0] == pytest.approx(theirs, rel=1e-3)
    if ours.coherence is not None:
        extra = silicon.thermal_conductivity._kappa_solver.get_extra_kappa_output()
        inter = np.asarray(extra["kappa_inter"])[0, 0, :3].mean()
        assert np.trace(ours.coherence[0]) / 3 == pytest.approx(inter, rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_averages_at_once_are_those_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    begins = rng.random((7, 6)) < 0.5
    begins[:, 0] = True
    ids = np.maximum.accumulate(np.where(begins, np.arange(6), 0), axis=1)
    weights = rng.random((7, 4, 6))
    one_by_one = [average_over_degenerate_sets(w, k, 1) for w, k in zip(weights, ids, strict=True)]
    np.testing.assert_array_equal(averaged(weights, ids), np.array(one_by_one))


@pytest.mark.parametrize(
    ("crystal", "repeats"),
    [
        (bulk("SiC", "wurtzite", a=3.08, c=5.05), (3, 3, 2)),
        (bulk("NaCl", "rocksalt", a=5.64), (2, 3, 4)),
        (bulk("CsCl", "cesiumchloride", a=4.1), (2, 2, 2)),
    ],
    ids=["wurtzite", "rocksalt", "cesium-chloride"],
)
def test_triples_at_once_are_those_one_by_one(
    crystal: Atoms, repeats: tuple[int, int, int]
) -> None:
    cell = phonopy_cell(crystal.cell.array, crystal.get_scaled_positions(), list(crystal.symbols))
    phonons = Phono3py(cell, np.diag(repeats), primitive_matrix=np.eye(3), log_level=0)
    phonons.mesh_numbers = [2, 2, 2]
    given = (phonons.primitive, phonons.grid, phonons.primitive_symmetry)
    one_by_one = np.array(Interaction(*given)._all_shortest)
    with triples_at_once():
        at_once = Interaction(*given)._all_shortest
    np.testing.assert_array_equal(at_once, one_by_one)
    assert 0 < one_by_one.mean() < 1


@needs_silicon
def test_the_particle_part_goes_as_one_over_temperature_when_hot(silicon: Phono3py) -> None:
    settings = PhononSettings(isotope=False, coherence=False)
    hot = conductivity.conductivity(silicon, settings, MESH, temperatures=(3000.0, 6000.0))
    assert hot.mean[0] / hot.mean[1] == pytest.approx(2.0, rel=5e-3)


@needs_silicon
def test_zeros_that_are_left_out_change_nothing(silicon: Phono3py) -> None:
    """Force constants beyond a cutoff are zero, and sums may skip them."""
    settings = PhononSettings(isotope=False, coherence=False)
    fc2, fc3 = np.array(silicon.fc2), np.array(silicon.fc3)
    small = np.abs(fc3).max(axis=(3, 4, 5)) < 1e-2 * np.abs(fc3).max()
    cut = np.where(small[..., None, None, None], 0.0, fc3)
    phonons = Phono3py(
        silicon.unitcell,
        supercell_matrix=silicon.supercell_matrix,
        primitive_matrix=silicon.primitive_matrix,
        log_level=0,
    )
    phonons.fc2, phonons.fc3 = fc2, cut
    whole = conductivity.conductivity(phonons, settings, (5, 5, 5), temperatures=(300.0,))
    supercells.set_constants(phonons, fc2, cut)
    assert 0 < phonons.fc3_nonzero_indices.mean() < 0.5
    skipped = conductivity.conductivity(phonons, settings, (5, 5, 5), temperatures=(300.0,))
    np.testing.assert_allclose(skipped.kappa, whole.kappa, rtol=1e-9)


@needs_silicon
def test_joint_densities_count_all_pairs_of_modes(silicon: Phono3py) -> None:
    """Of either kind, over all frequencies, each pair of bands is met once: 36 for two atoms."""
    for joint in phase_space.joint_densities(silicon, (7, 7, 7)):
        if joint.modes[0] > 1.0:
            counted = np.trapezoid(joint.densities, joint.frequencies, axis=0)
            np.testing.assert_allclose(counted, 36.0, rtol=0.05)


@needs_silicon
def test_phase_space_shrinks_as_frequencies_grow(silicon: Phono3py) -> None:
    """It is a mean of delta functions of frequency, and so halves when frequencies double."""
    phonons = Phono3py(
        silicon.unitcell,
        supercell_matrix=silicon.supercell_matrix,
        primitive_matrix=silicon.primitive_matrix,
        log_level=0,
    )
    phonons.fc2 = np.array(silicon.fc2)
    soft = phase_space.phase_space(phonons, (5, 5, 5)).total
    phonons.fc2 = 4 * np.array(silicon.fc2)
    assert phase_space.phase_space(phonons, (5, 5, 5)).total == pytest.approx(soft / 2, rel=1e-2)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad:UserWarning")  # CHGNet
@pytest.mark.parametrize("potential", ["7net-0", "chgnet"])
def test_forces_do_not_depend_on_the_number_of_threads(potential: str, tmp_path: Path) -> None:
    assert copies_may_share(potential)
    cells = []
    for seed in range(4):
        atoms = bulk("NaCl", "rocksalt", 5.64, cubic=True)
        atoms.rattle(0.02, seed=seed)
        cells.append(atoms)
    results = []
    for threads in (1, 3):
        folder = tmp_path / str(threads)
        field = ForceField(potential, StageStore(folder), Context(folder, threads=threads))
        shares: list[float] = []
        results.append(field.many(cells, "fc3", shares.append))
        assert shares == [0.25, 0.5, 0.75, 1.0]
        assert (field.calls, field.computed) == (4, 4)
    np.testing.assert_array_equal(results[0], results[1])


def test_calculators_of_which_nothing_is_known_take_one_by_one() -> None:
    assert not copies_may_share("my.module:factory")
    assert not copies_may_share("nequix-oam-1-pft")
    assert copies_may_share("7net:/some/weights.pth")
