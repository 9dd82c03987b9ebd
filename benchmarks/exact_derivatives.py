"""Exact directional derivatives of a potential against ± pairs of displaced supercells.

    python benchmarks/exact_derivatives.py WEIGHTS.nqx

Nequix is written in JAX, which differentiates its forces along a direction u as often as one likes:
``d²F/dt²`` at ``r + t u`` is what a ± pair of supercells gives only as the limit of small
displacements. Printed are the largest deviation of the pair's even and odd parts from it, relative
to the largest component, and what either costs.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import equinox
import jax
import jax.numpy as jnp
import numpy as np
from ase.build import bulk
from nequix.data import dict_to_graphstuple, preprocess_graph

from oracle.phonons.supercells import displaced
from oracle.potentials.loaders import nequix

_REPEATS = 3


def derivatives(model: Any, graph: Any, direction: Any) -> tuple[Any, Any]:
    """First and second derivative (n, 3) of the energy's gradient along a direction (n, 3)."""
    cell = jnp.repeat(
        graph.globals["cell"],
        graph.n_edge,
        axis=0,
        total_repeat_length=graph.edges["shifts"].shape[0],
    )
    shifts = jnp.einsum("ij,ijk->ik", graph.edges["shifts"], cell)

    def energy(positions: Any) -> Any:
        between = positions[graph.senders] - positions[graph.receivers] + shifts
        species = graph.nodes["species"]
        return jnp.sum(model.node_energies(between, species, graph.senders, graph.receivers))

    gradient = jax.grad(energy)

    def along(positions: Any) -> Any:
        return jax.jvp(gradient, (positions,), (direction,))[1]

    first, second = jax.jvp(along, (graph.nodes["positions"],), (direction,))
    return first, second


def _seconds(work: Any) -> float:
    work()  # compiles
    began = time.perf_counter()
    for _ in range(_REPEATS):
        work()
    return (time.perf_counter() - began) / _REPEATS


def main() -> None:
    """Silicon in 64 atoms, one random direction."""
    calculator: Any = nequix(sys.argv[1])  # type: ignore[arg-type]
    atoms = bulk("Si", "diamond", 5.46, cubic=True).repeat(2)
    atoms.calc = calculator
    rest = atoms.get_forces()
    direction = np.random.default_rng(0).standard_normal((len(atoms), 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    plain = dict_to_graphstuple(
        preprocess_graph(atoms, calculator.atom_indices, calculator.cutoff, False)
    )
    graph = calculator._pad_graph_jax(plain, True)
    padded = np.zeros((len(graph.nodes["positions"]), 3), dtype=np.float32)
    padded[: len(atoms)] = direction
    compiled = equinox.filter_jit(derivatives)
    first, second = (
        np.array(part)[: len(atoms)]
        for part in compiled(calculator.model, graph, jnp.asarray(padded))
    )
    print("| displacement (Å) | odd part | even part |\n|---|---|---|")
    for length in (0.003, 0.01, 0.03, 0.06):
        pair = []
        for sign in (1.0, -1.0):
            moved = displaced(atoms, sign * length * direction)
            moved.calc = calculator
            pair.append(moved.get_forces())
        odd = (pair[0] - pair[1]) / (2 * length) + first
        even = (pair[0] + pair[1] - 2 * rest) / length**2 + second
        deviations = [np.abs(x).max() / np.abs(y).max() for x, y in ((odd, first), (even, second))]
        print(f"| {length} | {100 * deviations[0]:.2f} % | {100 * deviations[1]:.2f} % |")

    def forces() -> None:
        calculator.reset()
        moved.get_forces()

    def exact() -> None:
        np.array(compiled(calculator.model, graph, jnp.asarray(padded))[1])

    one, both = _seconds(forces), _seconds(exact)
    print(f"\nforces {one:.2f} s, both derivatives {both:.2f} s: {both / one:.1f} force calls")


if __name__ == "__main__":
    main()
