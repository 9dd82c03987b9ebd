"""Dynamical matrices of any sequence, put together from the force constants of windows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import constants

from oracle.green.hosts import Hosts
from oracle.green.settings import GreenSettings
from oracle.green.windows import Window, compute, fourier
from oracle.potentials.forces import ForceField
from oracle.runtime.errors import OracleError

Array = NDArray[np.float64]
Complex = NDArray[np.complex128]
THZ2 = constants.e / constants.atomic_mass / constants.angstrom**2 / (2e12 * np.pi) ** 2
"""eV/Å²/amu in THz²: eigenvalues are squared frequencies, not angular ones."""
_GAMMA = np.zeros((1, 2))


@dataclass
class BlockLibrary:
    """Blocks between principal layers, each computed once per neighbourhood.

    A principal layer is `reach` layers of the sequence. The pair of layers i and i+s takes its
    force constants from all windows that hold both in their middle, averaged; a window sees
    `settings.neighbours` layers further on both sides. The sum rule is restored after that, by the
    constants between an atom and itself.

    Args:
        hosts: what the letters stand for.
        settings: of the oracle.
        forces: gives forces and keeps windows.
        reach: layers over which force constants reach.
    """

    hosts: Hosts
    settings: GreenSettings
    forces: ForceField
    reach: int
    _windows: dict[str, Window] = field(default_factory=dict)
    _pairs: dict[tuple[str, int], Complex] = field(default_factory=dict)
    _onsite: dict[str, Complex] = field(default_factory=dict)
    _q: Array = field(default_factory=lambda: _GAMMA)

    def at(self, q: Array) -> BlockLibrary:
        """The same library for other wave vectors (n, 2), sharing windows."""
        return BlockLibrary(
            self.hosts, self.settings, self.forces, self.reach, self._windows, _q=np.array(q)
        )

    @property
    def seen(self) -> int:
        """Layers to the left and right of a layer on which its own block depends."""
        return self.reach + self.settings.neighbours

    @property
    def size(self) -> int:
        """Degrees of freedom of a principal layer (of the largest, where they differ)."""
        return self.reach * 3 * max(len(x.symbols) for x in self.hosts.layers.values())

    def onsite(self, letters: str) -> Complex:
        """Block of a principal layer (n_q, size, size), THz².

        Args:
            letters: the principal layer's with `seen` more on both sides.
        """
        if letters in self._onsite:
            return self._onsite[letters]
        n = self.reach
        blocks = {(a, b): self._pair(letters, self.seen + a, b - a)
                  for a in range(n) for b in range(a, n)}  # fmt: skip
        for a in range(n):
            blocks[a, a] = blocks[a, a] + self._self_terms(letters, self.seen + a)
        inner = letters[self.seen : self.seen + n]
        self._onsite[letters] = self._joined(blocks, inner, inner, hermitian=True)
        return self._onsite[letters]

    def coupling(self, letters: str) -> Complex:
        """Block between two neighbouring principal layers (n_q, size, size), THz².

        Args:
            letters: those of both with `settings.neighbours` more on both sides.
        """
        n, m = self.reach, self.settings.neighbours
        blocks = {(a, b): self._pair(letters, m + a, n + b - a)
                  for a in range(n) for b in range(n) if n + b - a <= n}  # fmt: skip
        return self._joined(blocks, letters[m : m + n], letters[m + n : m + 2 * n])

    def _joined(
        self, blocks: dict[tuple[int, int], Complex], rows: str, columns: str, *,
        hermitian: bool = False,
    ) -> Complex:  # fmt: skip
        """Blocks of layers in one matrix, weighed by masses; layers with fewer atoms are filled up.

        What fills up couples to nothing and lies below all squared frequencies.
        """
        size, width = self.size, self.size // self.reach
        found = np.zeros((len(self._q), size, size), dtype=complex)
        for (a, b), block in blocks.items():
            left = np.repeat(self.hosts.masses[rows[a]], 3) ** -0.5
            right = np.repeat(self.hosts.masses[columns[b]], 3) ** -0.5
            weighed = THZ2 * block * left[:, None] * right
            i, j = a * width, b * width
            found[:, i : i + len(left), j : j + len(right)] = weighed
            if hermitian and a != b:
                found[:, j : j + len(right), i : i + len(left)] = weighed.conj().swapaxes(1, 2)
        if hermitian:
            for a in range(self.reach):
                empty = range(a * width + 3 * len(self.hosts.masses[rows[a]]), (a + 1) * width)
                found[:, list(empty), list(empty)] = -1.0
        return found

    def _pair(self, letters: str, i: int, s: int, gamma: bool = False) -> Complex:
        """Force constants (n_q, 3 n_i, 3 n_j) of layers i and i + s, s >= 0, eV/Å²."""
        context = letters[i + s - self.seen : i + self.seen + 1]
        assert len(context) == 2 * self.seen + 1 - s
        key = (context, -1 - s if gamma else s)
        if key not in self._pairs:
            q = _GAMMA if gamma else self._q
            self._pairs[key] = self._averaged(context, s, q)
        return self._pairs[key]

    def _averaged(self, context: str, s: int, q: Array) -> Complex:
        """The same from all windows that fit into the neighbourhood of a pair."""
        n = self.reach
        width = n + 1 + 2 * self.settings.neighbours
        parts = []
        for start in range(n + 1 - s):
            window = self.window(context[start : start + width])
            # The pair's first layer lies `seen - s` from the left end of its neighbourhood.
            i = window.first + (n - s - start)
            parts.append(fourier(window, i, i + s, q))
            parts.append(fourier(window, i + s, i, q).conj().swapaxes(1, 2))
        return np.asarray(sum(parts) / len(parts))

    def _self_terms(self, letters: str, i: int) -> Complex:
        """What is added between an atom and itself so that a shift of all costs no force."""
        atoms = len(self.hosts.masses[letters[i]])
        total = np.zeros((atoms, 3, 3))
        for s in range(-self.reach, self.reach + 1):
            pair = self._pair(letters, min(i, i + s), abs(s), gamma=True)[0].real
            pair = pair if s >= 0 else pair.T
            total += pair.reshape(atoms, 3, -1, 3).sum(axis=2)
        found = np.zeros((atoms, 3, atoms, 3))
        for a in range(atoms):
            found[a, :, a] = -0.5 * (total[a] + total[a].T)
        return found.reshape(1, 3 * atoms, 3 * atoms).astype(complex)

    def window(self, letters: str) -> Window:
        """Force constants of one window, computed at most once."""
        if self.settings.masses is not None:
            letters = self.settings.masses * len(letters)
        if letters not in self._windows:
            self._windows[letters] = compute(
                letters, self.reach + 1, self.hosts, self.settings, self.forces
            )
        return self._windows[letters]


def library(hosts: Hosts, settings: GreenSettings, forces: ForceField) -> tuple[BlockLibrary, Any]:
    """A library whose principal layer holds as many layers as the force constants reach over.

    Returns:
        The library, and what is said about its reach: the norms found, by letter and distance.

    Raises:
        OracleError: stage ``fc2``; they reach further than `settings.reach_max` layers.
    """
    norms = {x: _norms(x, hosts, settings, forces) for x in sorted(hosts.layers)}
    reach = 1
    for found in norms.values():
        beyond = [s for s, share in enumerate(found) if share > settings.reach_tolerance]
        reach = max(reach, *beyond) if beyond else reach
    if reach > settings.reach_max:
        raise OracleError(
            "fc2",
            f"force constants reach over {reach} layers, allowed are {settings.reach_max}: raise "
            "reach_max or reach_tolerance, or give layers of more cells",
        )
    said = {
        "principal_layer": reach,
        "reach": {x: [float(f"{share:.3g}") for share in found] for x, found in norms.items()},
    }
    if reach > 1:
        said["note"] = f"principal layers of {reach} layers, because force constants reach so far"
    return BlockLibrary(hosts, settings, forces, reach), said


def _norms(letter: str, hosts: Hosts, settings: GreenSettings, forces: ForceField) -> list[float]:
    """Norm of the force constants between layers by their distance, as share of that within."""
    furthest = settings.reach_max + 1
    bulk = letter if settings.masses is None else settings.masses
    window = compute(bulk * (2 * furthest - 1), 1, hosts, settings, forces)
    i = window.first
    found = [
        float(np.linalg.norm(window.constants[:, :, window.starts[j] : window.starts[j + 1]]))
        for j in range(i, min(i + furthest + 1, len(window.starts) - 1))
    ]
    return [x / found[0] for x in found]
