"""A DFT engine refuses a material by its elements, before anything is computed for its label."""

from __future__ import annotations

from pathlib import Path

from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from agents.holes.supercell_pool import SupercellPoolSettings
from oracle.materials.crystal import Crystal
from oracle.potentials.dft_settings import GpawSettings
from orchestrator.calls import healing_calls
from orchestrator.calls.healing_requests import LabelRequest, Surroundings
from orchestrator.executors.protocol import CallContext


def test_an_engine_that_refuses_a_material_does_so_before_anything_is_computed(
    tmp_path: Path,
) -> None:
    iron = Crystal.from_structure(
        Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.3), ["Fe", "S"], [[0] * 3, [0.5] * 3])
    )
    request = LabelRequest(
        surroundings=Surroundings(SupercellPoolSettings(), tmp_path),
        material=iron,
        id="x",
        number=0,
        potential="no-such-potential",
        engine=GpawSettings(),
    )
    answer = healing_calls.label_one(request, CallContext())
    assert answer.refused
    assert "no initial moment of Fe" in str(answer.error)
