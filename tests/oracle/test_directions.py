"""Numbers of a conductivity tensor."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure
from scipy.spatial.transform import Rotation

from oracle.contract.directions import Array, along, in_words
from oracle.contract.evaluation import (
    Measured,
    Quantity,
    make_quantity,
    quantity_of,
    scalar,
    unit_of,
)
from oracle.materials.crystal import Crystal
from oracle.materials.superlattice import Superlattice

SEEDS = st.integers(0, 2**32 - 1)
COMMON: dict[str, Any] = {
    "material": Superlattice.from_sequence("01"),
    "fidelity": "bte",
    "method": "m",
    "cost_s": 1.0,
    "stage": "bte",
}


def _drawn(seed: int) -> tuple[Array, Array, Any]:
    """A conductivity tensor, a vector and a rotation."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(3, 3))
    return root @ root.T, rng.normal(size=3), Rotation.random(random_state=seed).as_matrix()


@given(SEEDS)
def test_every_direction_lies_between_the_principal_values(seed: int) -> None:
    tensor, vector, _ = _drawn(seed)
    x, y, z = vector
    value = along(tensor, (x, y, z))
    slack = 1e-12 * np.trace(tensor)
    assert along(tensor, "min") - slack <= value <= along(tensor, "max") + slack
    assert along(tensor, (-3 * x, -3 * y, -3 * z)) == pytest.approx(value)


@given(SEEDS)
def test_it_turns_with_the_frame(seed: int) -> None:
    tensor, vector, rotation = _drawn(seed)
    turned, other = rotation @ tensor @ rotation.T, rotation @ vector
    assert along(turned, tuple(other)) == pytest.approx(along(tensor, tuple(vector)))
    for extreme in ("min", "max"):
        assert along(turned, extreme) == pytest.approx(along(tensor, extreme), abs=1e-12)
    axes = [along(tensor, tuple(row)) for row in rotation]
    assert np.mean(axes) == pytest.approx(along(tensor, None))


def test_words() -> None:
    assert in_words("κ", None) == "κ"
    assert in_words("κ", (0, 0, 1)) == "κ along [0 0 1]"
    assert in_words("κ", (0.5, 0, -1)) == "κ along [0.5 0 -1]"
    assert in_words("κ", "min") == "smallest principal κ"


def test_a_number_of_an_evaluation_along_a_direction() -> None:
    """Between two temperatures as well; the error is the same share in every direction."""
    tensors = [np.diag([2.0, 2.0, 8.0]), np.diag([1.0, 1.0, 4.0])]
    quantity = make_quantity("kappa", [t.tolist() for t in tensors], std=[0.4, 0.2])
    found = Measured(temperature=(200.0, 800.0), properties={"kappa": quantity}, **COMMON)
    assert scalar(found, "kappa", 200.0) == pytest.approx((4.0, 0.4))
    assert scalar(found, "kappa", 200.0, (0, 0, 1)) == pytest.approx((8.0, 0.8))
    assert scalar(found, "kappa", 200.0, "min") == pytest.approx((2.0, 0.2))
    assert scalar(found, "kappa", 400.0, "max") == pytest.approx((np.sqrt(32), np.sqrt(0.32)))


def test_what_is_no_tensor_has_no_direction() -> None:
    found = Measured(properties={"bulk_modulus": make_quantity("bulk_modulus", 3.0)}, **COMMON)
    assert scalar(found, "bulk_modulus") == (3.0, None)
    assert scalar(found, "bulk_modulus", None, "max") is None


def test_a_property_is_found_by_any_of_its_names() -> None:
    """Records of oracles and of earlier tables have different ones."""
    for stored in ("max_frequency", "max_frequency_thz"):
        found = Measured(properties={stored: Quantity(value=5.0, unit="")}, **COMMON)
        for name in ("max_frequency", "max_frequency_thz"):
            assert scalar(found, name) == (5.0, None)
            assert unit_of(found, name) == "THz"
        assert quantity_of(found, "min_frequency") is None
    stated = Measured(properties={"max_frequency": Quantity(value=5.0, unit="meV")}, **COMMON)
    assert unit_of(stated, "max_frequency") == "meV"
    layers = Measured(properties={"conductance": Quantity(value=5.0, unit="")}, **COMMON)
    assert unit_of(layers, "conductance") == ""


@pytest.mark.parametrize(
    ("lattice", "unique"),
    [
        (Lattice.hexagonal(3.25, 5.2), 5.2),
        (Lattice.tetragonal(4.6, 2.9), 2.9),
        (Lattice.tetragonal(3.0, 7.0), 7.0),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_z_is_along_c_however_the_file_was_turned(
    lattice: Lattice, unique: float, seed: int
) -> None:
    rotation = Rotation.random(random_state=seed).as_matrix()
    turned = Lattice(lattice.matrix @ rotation.T)
    crystal = Crystal.from_structure(Structure(turned, ["Zn"], [[0, 0, 0]]))
    c = crystal.conventional().lattice.matrix[2]
    assert c == pytest.approx(np.array([0, 0, unique]), abs=1e-6)
