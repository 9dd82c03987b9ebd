"""What a campaign says of supercells and meshes by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from orchestrator.assembly.build import build_space
from orchestrator.assembly.notes import campaign_notes
from orchestrator.config.config import CampaignConfig

NACL = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])


def _notes(folder: Path, oracle: dict[str, Any]) -> str:
    NACL.to(str(folder / "NaCl.cif"))
    config = CampaignConfig.model_validate(
        {
            "name": "sizes",
            "space": {"kind": "pool", "path": str(folder)},
            "objective": {"property": "kappa"},
            "oracle": {"kind": "phonon-bte", **oracle},
            "surrogate": {"kind": "random-forest"},
        }
    )
    return "\n".join(campaign_notes(config, build_space(config.space)))


@pytest.mark.parametrize("name", ["fc2_supercell", "fc3_supercell", "mesh"])
def test_sizes_by_hand_are_said_to_be_along_canonical_axes(name: str, tmp_path: Path) -> None:
    assert f"{name}: along the axes of each crystal's standard" in _notes(
        tmp_path, {name: [2, 2, 3]}
    )


def test_without_sizes_by_hand_nothing_is_said_of_axes(tmp_path: Path) -> None:
    assert "axes" not in _notes(tmp_path, {})
