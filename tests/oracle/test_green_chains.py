"""Green's functions against exact results: chains with a known transmission, random matrices."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from ase.transport.calculators import TransportCalculator
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import constants

from oracle.formulas.landauer import conductance
from oracle.green.leads import surfaces
from oracle.green.meshes import q_mesh
from oracle.green.recursion import Blocks, Chain, transmission
from oracle.materials.layering import Operation

Array = NDArray[np.float64]


def _one(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.complex128)


def _through(masses: list[float], omega: Array, left: float, right: float) -> Array:
    """Transmission of a chain with springs of strength 1 between two uniform leads."""
    squared = torch.tensor(omega**2)
    whole = [left, *masses, right]
    ends = [surfaces(squared, _one(2 / m), _one(-1 / m))[0] for m in (left, right)]
    names = [f"{i}" for i in range(len(masses))]
    pairs = [f"{i}-" for i in range(len(whole) - 1)]
    only = torch.tensor([0])
    blocks = Blocks(
        squared,
        {n: _one(2 / m)[None] for n, m in zip(names, masses, strict=True)},
        {
            p: _one(-1 / np.sqrt(a * b))[None]
            for p, a, b in zip(pairs, whole[:-1], whole[1:], strict=True)
        },
        only, only, ends[0], ends[1],
    )  # fmt: skip
    return transmission([Chain(tuple(names), tuple(pairs))], blocks)[0].numpy()


@given(st.floats(0.3, 3.0), st.floats(0.3, 3.0))
@settings(max_examples=25, deadline=None)
def test_interface_of_masses(m1: float, m2: float) -> None:
    omega = np.linspace(0.02, 0.98, 30) * 2 / np.sqrt(max(m1, m2))
    q1, q2 = (2 * np.arcsin(omega * np.sqrt(m) / 2) for m in (m1, m2))
    exact = np.sin(q1) * np.sin(q2) / np.sin((q1 + q2) / 2) ** 2
    transmitted = _through([m1, m1, m2, m2], omega, m1, m2)
    np.testing.assert_allclose(transmitted, exact, atol=1e-8, rtol=0)


@given(st.floats(0.2, 5.0))
@settings(max_examples=25, deadline=None)
def test_one_mass_defect(mass: float) -> None:
    omega = np.linspace(0.05, 1.95, 40)
    transmitted = _through([1.0, mass, 1.0], omega, 1.0, 1.0)
    # Transmitted amplitude 1 / (1 - i e), e = (m - 1) w² / (2 sin q): from Newton's equation of
    # the defect with waves on both sides.
    q = 2 * np.arcsin(omega / 2)
    exact = 1 / (1 + ((mass - 1) * omega**2 / (2 * np.sin(q))) ** 2)
    np.testing.assert_allclose(transmitted, exact, atol=1e-8, rtol=0)


@given(st.lists(st.floats(0.3, 3.0), min_size=1, max_size=12))
@settings(max_examples=25, deadline=None)
def test_reciprocity_and_bounds(masses: list[float]) -> None:
    omega = np.linspace(0.02, 1.9, 30)
    there = _through(masses, omega, 1.0, 0.8)
    back = _through(masses[::-1], omega, 0.8, 1.0)
    np.testing.assert_allclose(there, back, atol=1e-8, rtol=0)
    assert there.min() > -1e-9
    assert there.max() < 1 + 1e-9


def test_quantum_of_conductance() -> None:
    """pi² k² T / 3h for one acoustic channel at low temperature."""
    temperature: Array = np.array([0.5])
    frequencies: Array = (np.arange(4000, dtype=np.float64) + 0.5) * 1e-4
    omega: Array = 2.0 * np.sin(np.pi / 2 * frequencies / frequencies[-1] * 0.49)
    through = _through([1.0], omega, 1.0, 1.0)
    computed = conductance(frequencies, through, temperature, 1e-4)
    quantum = np.pi**2 * constants.k**2 * temperature / (3 * constants.h)
    np.testing.assert_allclose(computed, quantum, rtol=1e-4)


def _random_blocks(rng: np.random.Generator, size: int) -> tuple[Array, Array]:
    """Onsite block and coupling of one cell, such that the whole matrix is positive."""
    across = rng.normal(size=(size, size)) * 0.5
    onsite = rng.normal(size=(size, size)) * 0.3
    onsite = onsite @ onsite.T + 4 * np.eye(size)
    return onsite, across


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_ase(seed: int) -> None:
    """Electrons of ase.transport are phonons when the energy is a squared frequency."""
    rng = np.random.default_rng(seed)
    size, length = 4, 6
    lead_on, lead_across = _random_blocks(rng, size)
    kinds = {x: _random_blocks(rng, size)[0] for x in "ab"}
    couplings = {x + y: lead_across * rng.uniform(0.7, 1.3) for x in "Lab" for y in "Lab"}
    couplings["LL"] = lead_across
    sequence = "LL" + "".join(rng.choice(list("ab"), length)) + "LL"
    squared = np.linspace(2.0, 8.0, 25)
    on = {"L": lead_on, **kinds}
    # ase expects one cell of each lead in the central region, and two cells per lead.
    n = len(sequence) * size
    middle = np.zeros((n, n))
    for i, x in enumerate(sequence):
        a = slice(i * size, (i + 1) * size)
        middle[a, a] = on[x]
        if i:
            b = slice((i - 1) * size, i * size)
            middle[b, a] = couplings[sequence[i - 1] + x]
            middle[a, b] = middle[b, a].T
    pair = np.block([[lead_on, lead_across], [lead_across.T, lead_on]])
    reference = TransportCalculator(
        h=middle, h1=pair, h2=pair, energies=squared, eta=1e-9, eta1=1e-9, eta2=1e-9,
        align_bf=None, logfile=None,
    ).get_transmission()  # fmt: skip

    def tensor(x: Array) -> torch.Tensor:
        return torch.tensor(x, dtype=torch.complex128)

    energies = torch.tensor(squared)
    left = surfaces(energies, tensor(lead_on), tensor(lead_across.T))[0]
    right = surfaces(energies, tensor(lead_on), tensor(lead_across))[0]
    every = torch.arange(size)
    inner = sequence[1:-1]
    chain = Chain(tuple(inner), tuple(a + b for a, b in itertools.pairwise(sequence)))
    blocks = Blocks(
        energies, {x: tensor(m)[None] for x, m in on.items()},
        {x: tensor(m)[None] for x, m in couplings.items()}, every, every, left, right,
    )  # fmt: skip
    transmitted = transmission([chain], blocks)[0].numpy()
    np.testing.assert_allclose(transmitted, reference, atol=1e-6, rtol=0)
    assert transmitted.max() > 0.05


def test_q_mesh_counts_every_point_once() -> None:
    mirror = Operation(np.array([[1, 0], [0, -1]]), np.zeros(2), False)
    plain, folded = q_mesh((6, 6), ()), q_mesh((6, 6), (mirror,))
    assert len(plain.points) == 18  # time reversal alone
    assert len(folded.points) == 9
    np.testing.assert_allclose([plain.weights.sum(), folded.weights.sum()], 1.0)
    assert not (np.abs(plain.points).max(axis=1) < 1e-9).any()


def test_q_mesh_of_one_point_is_gamma() -> None:
    np.testing.assert_array_equal(q_mesh((1, 1), ()).points, [[0.0, 0.0]])
