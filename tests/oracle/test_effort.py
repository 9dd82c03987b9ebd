"""Estimates of effort agree with what an actual evaluation counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.energetics.speed import seconds_of_forces, slowness
from oracle.green.effort import green_effort
from oracle.green.settings import GreenSettings
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Stack, Superlattice
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.effort import Effort, as_given, harmonic_effort, phonon_effort, slower
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import estimated_size, third_order_basis
from oracle.runtime.context import Context

SMALL = PhononSettings(
    calculator="tersoff",
    fc2_length=4.0,
    fc3_length=4.0,
    relax_fmax=1e-3,
    stability_spacing=0.4,
    mesh=(3, 3, 3),
    bands=False,
)
FULL = SMALL.model_copy(update={"force_constants": "finite-difference"})


def _crystal(name: str, kind: str, a: float) -> Crystal:
    return Crystal.from_structure(AseAtomsAdaptor.get_structure(bulk(name, kind, a=a)))


SILICON = _crystal("Si", "diamond", 5.432)
CARBIDE = _crystal("SiC", "zincblende", 4.32)


def _each(atoms: Atoms) -> float:
    """A potential that takes a second per atom."""
    return float(len(atoms))


@pytest.mark.parametrize("crystal", [SILICON, CARBIDE], ids=["Si", "SiC"])
def test_force_calls_of_finite_differences_are_exact(crystal: Crystal, tmp_path: Path) -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    effort = phonon_effort(crystal, FULL, _each)
    evaluation = PhononBTE(FULL).evaluate(crystal, context=Context(tmp_path))
    assert evaluation.status == "measured", evaluation
    counted = evaluation.properties["force_calls"].value
    assert effort.harmonic.force_calls + effort.conductive.force_calls == counted


def test_what_costs_more_is_said_to_cost_more() -> None:
    wide = SMALL.model_copy(update={"fc2_length": 8.0, "fc3_length": 8.0, "fc3_atoms": 250})
    effort = phonon_effort(CARBIDE, wide, _each)
    larger = phonon_effort(CARBIDE, wide.model_copy(update={"fc3_length": 10.0}), _each)
    denser = phonon_effort(CARBIDE, wide.model_copy(update={"mesh": (12, 12, 12)}), _each)
    assert effort.harmonic.forces_s < effort.conductive.forces_s
    assert effort.confirming.forces_s > effort.conductive.forces_s
    assert larger.conductive.forces_s > 2 * effort.conductive.forces_s
    assert larger.conductive.memory_gib > effort.conductive.memory_gib
    assert denser.conductive.other_s > effort.conductive.other_s


@pytest.mark.parametrize(
    ("crystal", "strains"), [(SILICON, 1), (CARBIDE, 1), (_crystal("Mg", "hcp", 3.2), 2)]
)
def test_strained_cells_cost_forces(crystal: Crystal, strains: int) -> None:
    """One strain suffices for cubic crystals, two for hexagonal ones; each has four lengths."""

    def of_primitive_cells(atoms: Atoms) -> float:
        return float(len(atoms) == len(crystal.species))

    relaxed = as_given(crystal)
    relaxing = 6 if len(relaxed.symbols) == len(crystal.species) else 0
    effort = harmonic_effort(relaxed, SMALL, of_primitive_cells)
    assert effort.forces_s == 4 * strains * 3 + relaxing
    thermal = SMALL.model_copy(update={"finite_temperature": 300.0})
    assert harmonic_effort(relaxed, thermal, of_primitive_cells).forces_s == relaxing


def test_sums_and_slower_machines() -> None:
    total = Effort(2, 3.0, 4.0, 1.0) + Effort(1, 1.0, 1.0, 2.0)
    assert total == Effort(3, 4.0, 5.0, 2.0)
    assert slower(total, 2.0) == Effort(3, 4.0, 10.0, 2.0)


def test_the_size_of_a_basis_is_known_before_it_is_made() -> None:
    from oracle.phonons.supercells import phonons3

    phonons = phonons3(as_given(SILICON), SMALL, second=False)
    size, cutoff = estimated_size(phonons, 4.0, 13, 1.3)
    basis = third_order_basis(phonons, 4.0, 13, 1.3)
    assert cutoff == basis.cutoff == 4.0
    assert basis.size <= size < 1.5 * basis.size + 10


@pytest.mark.parametrize("pairs", [1, 2, 4])
def test_the_cutoff_is_the_longest_that_so_many_pairs_determine(pairs: int) -> None:
    from oracle.phonons.supercells import phonons3

    wurtzite = Crystal.from_structure(
        AseAtomsAdaptor.get_structure(bulk("SiC", "wurtzite", a=3.08, c=5.05))
    )
    settings = PhononSettings(fc3_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 1)))
    phonons = phonons3(as_given(wurtzite), settings, second=False)
    radii = np.arange(2.5, 6.5, 0.25)
    allowed = pairs * 3 * (len(phonons.supercell) - 1) / 1.3
    sizes = [estimated_size(phonons, radius, pairs, 1.3)[0] for radius in radii]
    size, cutoff = estimated_size(phonons, None, pairs, 1.3)
    if cutoff is None:
        assert size <= allowed
        return
    assert estimated_size(phonons, cutoff, pairs, 1.3)[0] == size
    assert all(other <= size or other > allowed for other in sizes)


def test_layers_take_more_with_more_kinds_and_neighbours() -> None:
    germanium = _crystal("Ge", "diamond", 5.657)
    stack = Stack(layers=(("G", germanium), ("S", SILICON)), leads=("S", "S"))
    design = Superlattice.from_sequence("GSGS", stack=stack)
    settings = GreenSettings()
    effort = green_effort(design, settings, _each)
    fewer = green_effort(design, settings.model_copy(update={"neighbours": 0}), _each)
    coarse = green_effort(design, settings.model_copy(update={"q_mesh": (4, 4)}), _each)
    assert effort.force_calls > fewer.force_calls > 0
    assert effort.leads_s > coarse.leads_s > 0
    assert effort.design_s > coarse.design_s > 0
    with pytest.raises(ValueError, match="no stack"):
        green_effort(Superlattice.from_sequence("01"), settings, _each)


def test_this_machine_is_measured() -> None:
    pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
    silicon = bulk("Si", "diamond", a=5.432, cubic=True)
    small, large = (seconds_of_forces("tersoff", silicon * n) for n in (1, 6))
    assert 0 < small < large
    assert 0.05 < slowness() < 50
    assert np.isfinite(slowness())
