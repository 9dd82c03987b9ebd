"""What third-order force constants within a cutoff leave out, and the error stated for it."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.emt import EMT
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from phono3py import Phono3py
from pymatgen.core.lattice import Lattice
from pymatgen.core.structure import Structure

from oracle.contract.evaluation import Measured
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons import third_order
from oracle.phonons.settings import PhononSettings
from oracle.phonons.snapshots import (
    equations,
    radii_between,
    random_displacements,
    solve,
    third_order_basis,
)
from oracle.phonons.supercells import as_atoms, displaced
from oracle.phonons.third_order import ThirdOrder
from oracle.runtime.context import Context
from tests.oracle.emt_crystals import emt_phonons

LENGTH = 0.03  # Å
_FACES = [(0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0)]


@functools.cache
def _forces(noise: float = 0.0) -> tuple[Phono3py, NDArray[np.float64], NDArray[np.float64]]:
    """AuCu3, displacements of twelve pairs (Å), and their even forces with noise (eV/Å)."""
    cell = emt_phonons("cubic")
    rest, rng = as_atoms(cell.supercell), np.random.default_rng(1)
    drawn = random_displacements(len(rest), range(12), LENGTH, "1a" * 16)
    even = []
    for u in drawn:
        pair = []
        for sign in (1.0, -1.0):
            moved = displaced(rest, sign * u)
            moved.calc = EMT()
            pair.append(moved.get_forces() + noise * rng.standard_normal(u.shape))
        even.append((pair[0] + pair[1]) / 2)
    return cell, drawn, np.array(even)


@functools.cache
def _left_out(cutoff: float | None, noise: float = 0.0) -> float:
    """Share of the squared even forces that is not explained, with noise of a share of them."""
    cell, drawn, even = _forces()
    drift = np.random.default_rng(0).standard_normal(even.shape)
    noisy = even + noise * even.std(axis=(1, 2), keepdims=True) * drift
    return solve(equations(third_order_basis(cell, cutoff, 12, 1.3), drawn, noisy)).left_out


def test_a_shorter_cutoff_leaves_out_more() -> None:
    shares = [_left_out(cutoff) for cutoff in (3.2, 4.2, None)]
    assert shares[0] > 1.5 * shares[1] > 2 * shares[2]
    assert 0 <= shares[2] < 0.01


def test_noise_is_left_out_to_its_share() -> None:
    noisy = _left_out(None, noise=0.3)
    assert noisy - _left_out(None) == pytest.approx(0.3**2 / (1 + 0.3**2), rel=0.3)


@functools.cache
def _of_noise(noise: float) -> tuple[float, float, float]:
    """What is left out of AuCu3's forces with noise in eV/Å, the same without it, and the error."""
    cell, drawn, even = _forces(noise)
    basis = third_order_basis(cell, None, 12, 1.3)
    groups = [equations(basis, drawn[k::2], even[k::2]) for k in range(2)]
    fit = solve(groups[0] + groups[1])
    reach = third_order._reach(groups, fit)
    return (*reach, third_order._cell_error(basis, *reach, False))


def test_noise_is_no_sign_of_long_constants() -> None:
    plain, noisy = _of_noise(0.0), _of_noise(3e-4)
    assert noisy[0] > 20 * plain[0]  # most of what is left out is noise
    assert noisy[1] < 0.15 * noisy[0]  # and is recognised
    assert noisy[2] <= 0.05  # it has a part of the error of its own
    assert plain[1] == pytest.approx(plain[0], rel=0.7)


def test_folded_constants_are_an_error_that_no_fit_tells() -> None:
    cell, _, _ = _forces()
    basis = third_order_basis(cell, None, 12, 1.3)
    assert basis.n_atoms < 100
    few = (1e-6, 1e-6)
    assert third_order._cell_error(basis, *few, False) == pytest.approx(0.008)
    assert third_order._cell_error(basis, *few, True) == pytest.approx(0.1)
    assert third_order._cell_error(basis, 0.0, 0.0, True) == pytest.approx(0.1)
    assert third_order._cell_error(basis, 4e-4, 4e-4, True) == pytest.approx(0.16)


def test_the_error_grows_with_what_is_left_out_up_to_a_limit() -> None:
    none = np.zeros(1)
    cuts = [
        ThirdOrder(none, 1.0, none, none, none, 3, 4.0, 5, left_out=share).cut
        for share in (0.0, 0.001, 0.01, 0.9)
    ]
    assert cuts[0] == 0.0
    assert 0.01 < cuts[1] < 0.05 < 0.2 < cuts[2] < cuts[3] == 0.5


def test_an_evaluation_states_what_its_cutoff_leaves_out(tmp_path: Path) -> None:
    crystal = Crystal.from_structure(Structure(Lattice.cubic(3.6), ["Cu"] * 4, _FACES))
    found = {}
    for cutoff in (2.9, 5.5):
        settings = PhononSettings(
            calculator="ase.calculators.emt:EMT",
            fc3_cutoff=cutoff,
            fc2_length=10.0,
            mesh=(6, 6, 6),
            bands=False,
        )
        outcome = PhononBTE(settings).evaluate(crystal, context=Context(tmp_path))
        assert isinstance(outcome, Measured)
        errors = outcome.provenance["relative_error"]
        share = outcome.provenance["fc3_left_out"]
        assert errors["cutoff"] == pytest.approx(min(30 * share, 0.5))
        assert errors["total"] >= errors["cutoff"]
        found[cutoff] = share, outcome.low_confidence
    assert found[2.9][0] > 3 * found[5.5][0]


class _Field:
    """Forces by EMT."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def forces(self, atoms: Atoms, stage: str) -> Any:
        moved = atoms.copy()
        moved.calc = EMT()
        return moved.get_forces()

    def many(self, atoms: list[Atoms], stage: str, progress: Any) -> Any:
        return np.array([self.forces(one, stage) for one in atoms])


@pytest.mark.parametrize(("limit", "given"), [(0.0, None), (np.inf, None), (0.0, 3.2)])
def test_a_cutoff_that_leaves_out_much_is_lengthened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: float, given: float | None
) -> None:
    settings = PhononSettings(
        calculator="ase.calculators.emt:EMT", pairs_start=2, pairs_max=28, oversampling=8.0,
        fc3_cutoff=given, tolerance=0.5,
    )  # fmt: skip
    field: Any = _Field(Context(tmp_path))
    monkeypatch.setattr(third_order, "_WIDENED", limit)
    cell = emt_phonons("cubic")
    found = third_order.adaptive(
        cell, settings, field, lambda fc3: np.array([1 / np.square(fc3).sum()]), 0, "1a" * 16
    )
    usual = third_order_basis(cell, given, settings.pairs_start, settings.oversampling)
    assert usual.cutoff is not None
    assert found.constants is not None
    if limit == 0.0 and given is None:
        assert found.cutoff is not None
        assert found.cutoff > usual.cutoff
        assert found.constants > usual.size
        assert found.supercells > 2 * settings.pairs_start + 1
        assert found.left_out < _left_out(usual.cutoff)
    else:
        assert found.cutoff == usual.cutoff
        assert found.constants == usual.size


@given(
    st.lists(st.integers(150, 900), min_size=1, max_size=60, unique=True),
)
def test_no_two_radii_are_far_from_each_other_where_shells_are_dense(hundredths: list[int]) -> None:
    distances = np.array([0, *sorted(hundredths)]) / 100
    radii = np.array(radii_between(distances))
    assert (np.diff(radii) > 0).all()
    inside = np.searchsorted(distances, radii)
    assert len(set(inside.tolist())) == len(radii)  # each has other neighbours within it
    assert (np.abs(distances[:, None] - radii[None, :]).min(axis=0) >= 0.005 - 1e-9).all()
    # What lies between two radii is one shell, or a few that are close.
    for low, high in zip([0.0, *radii], [*radii, np.inf], strict=True):
        shells = distances[(distances > low) & (distances < high)]
        assert not len(shells) or np.ptp(shells) <= 0.6 + 1e-9


def test_shells_of_a_cubic_crystal_are_not_parted() -> None:
    a = 5.64
    shells = a / 2 * np.sqrt([0, 1, 2, 3, 4, 5, 6, 8, 9])
    assert radii_between(shells) == pytest.approx((shells[1:] + shells[:-1]) / 2)


def test_without_a_cutoff_nothing_is_ascribed_to_it(tmp_path: Path) -> None:
    crystal = Crystal.from_structure(Structure(Lattice.cubic(3.6), ["Cu"] * 4, _FACES))
    settings = PhononSettings(
        calculator="ase.calculators.emt:EMT",
        fc3_length=7.0,
        fc2_length=10.0,
        displacement=0.1,
        mesh=(6, 6, 6),
        bands=False,
    )
    for one in (settings, settings.model_copy(update={"fc3_cutoff": 2.9})):
        provenance = PhononBTE(one).evaluate(crystal, context=Context(tmp_path)).provenance
        assert provenance["fc3_left_out"] == 0.0  # displacements are large
    small = settings.model_copy(update={"displacement": 0.03})
    provenance = PhononBTE(small).evaluate(crystal, context=Context(tmp_path)).provenance
    assert provenance["fc3_cutoff"] is None
    assert provenance["relative_error"]["cutoff"] == 0.0
    # What constants of the whole supercell do not explain tells how far it is from larger ones.
    share = provenance["fc3_left_out"]
    assert 0.0 < share < 1e-2
    assert provenance["relative_error"]["fc3"] >= np.hypot(0.02, 8 * np.sqrt(share))
