"""Dynamical matrices of any sequence, assembled from the force constants of windows."""

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
"""1 eV/Å²/amu in THz²; eigenvalues are squared frequencies, not squared angular frequencies."""
_GAMMA = np.zeros((1, 2))


@dataclass
class BlockLibrary:
    """Blocks of the dynamical matrix between principal layers, computed once per neighbourhood.

    A principal layer is `reach` layers of the sequence. The force constants between layers i and
    i+s are averaged over all windows that have both in their middle; a window includes
    `settings.neighbours` more layers on both sides. The acoustic sum rule is then restored by the
    force constants between an atom and itself.

    Args:
        hosts: what the letters stand for.
        settings: of the oracle.
        forces: computes forces and stores windows.
        reach: number of layers over which force constants extend.
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
        """A library for other wave vectors (n, 2), which shares the windows of this one."""
        return BlockLibrary(
            self.hosts, self.settings, self.forces, self.reach, self._windows, _q=np.array(q)
        )

    @property
    def neighbourhood(self) -> int:
        """Number of layers to the left and to the right on which the block of a layer depends."""
        return self.reach + self.settings.neighbours

    @property
    def size(self) -> int:
        """Degrees of freedom of a principal layer, of the largest one where they differ."""
        return self.reach * 3 * max(len(x.symbols) for x in self.hosts.layers.values())

    def onsite(self, letters: str) -> Complex:
        """Block within a principal layer (n_q, size, size), THz².

        Args:
            letters: of the principal layer and of `neighbourhood` more layers on both sides.
        """
        if letters in self._onsite:
            return self._onsite[letters]
        n = self.reach
        near = self.neighbourhood
        blocks = {(a, b): self._pair(letters, near + a, b - a)
                  for a in range(n) for b in range(a, n)}  # fmt: skip
        for a in range(n):
            blocks[a, a] = blocks[a, a] + self._self_terms(letters, near + a)
        inner = letters[near : near + n]
        self._onsite[letters] = self._joined(blocks, inner, inner, hermitian=True)
        return self._onsite[letters]

    def coupling(self, letters: str) -> Complex:
        """Block between two neighbouring principal layers (n_q, size, size), THz².

        Args:
            letters: of both and of `settings.neighbours` more layers on both sides.
        """
        n, m = self.reach, self.settings.neighbours
        blocks = {(a, b): self._pair(letters, m + a, n + b - a)
                  for a in range(n) for b in range(n) if n + b - a <= n}  # fmt: skip
        return self._joined(blocks, letters[m : m + n], letters[m + n : m + 2 * n])

    def _joined(
        self, blocks: dict[tuple[int, int], Complex], rows: str, columns: str, *,
        hermitian: bool = False,
    ) -> Complex:  # fmt: skip
        """Mass-weighted blocks of layers in one matrix; layers with fewer atoms are padded.

        The padding couples to nothing, and its eigenvalues are below all squared frequencies.
        """
        size, width = self.size, self.size // self.reach
        matrix = np.zeros((len(self._q), size, size), dtype=complex)
        for (a, b), block in blocks.items():
            left = np.repeat(self.hosts.masses[rows[a]], 3) ** -0.5
            right = np.repeat(self.hosts.masses[columns[b]], 3) ** -0.5
            weighed = THZ2 * block * left[:, None] * right
            i, j = a * width, b * width
            matrix[:, i : i + len(left), j : j + len(right)] = weighed
            if hermitian and a != b:
                matrix[:, j : j + len(right), i : i + len(left)] = weighed.conj().swapaxes(1, 2)
        if hermitian:
            for a in range(self.reach):
                empty = range(a * width + 3 * len(self.hosts.masses[rows[a]]), (a + 1) * width)
                matrix[:, list(empty), list(empty)] = -1.0
        return matrix

    def _pair(self, letters: str, i: int, s: int, gamma: bool = False) -> Complex:
        """Force constants (n_q, 3 n_i, 3 n_j) of layers i and i + s, s >= 0, eV/Å²."""
        near = self.neighbourhood
        context = letters[i + s - near : i + near + 1]
        assert len(context) == 2 * near + 1 - s
        key = (context, -1 - s if gamma else s)
        if key not in self._pairs:
            q = _GAMMA if gamma else self._q
            self._pairs[key] = self._averaged(context, s, q)
        return self._pairs[key]

    def _averaged(self, context: str, s: int, q: Array) -> Complex:
        """Force constants of a pair, averaged over all windows that fit into its neighbourhood."""
        n = self.reach
        width = n + 1 + 2 * self.settings.neighbours
        parts = []
        for start in range(n + 1 - s):
            window = self.window(context[start : start + width])
            # The first layer of the pair is `neighbourhood - s` from the left end of `context`.
            i = window.first + (n - s - start)
            parts.append(fourier(window, i, i + s, q))
            parts.append(fourier(window, i + s, i, q).conj().swapaxes(1, 2))
        return np.asarray(sum(parts) / len(parts))

    def _self_terms(self, letters: str, i: int) -> Complex:
        """Force constants between an atom and itself that restore the acoustic sum rule."""
        atoms = len(self.hosts.masses[letters[i]])
        total = np.zeros((atoms, 3, 3))
        for s in range(-self.reach, self.reach + 1):
            pair = self._pair(letters, min(i, i + s), abs(s), gamma=True)[0].real
            pair = pair if s >= 0 else pair.T
            total += pair.reshape(atoms, 3, -1, 3).sum(axis=2)
        terms = np.zeros((atoms, 3, atoms, 3))
        for a in range(atoms):
            terms[a, :, a] = -0.5 * (total[a] + total[a].T)
        return terms.reshape(1, 3 * atoms, 3 * atoms).astype(complex)

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
    """A library whose principal layer has as many layers as the force constants extend over.

    Returns:
        The library, and details about its reach, as JSON: among them the norms of force constants
        by letter and distance.

    Raises:
        OracleError: stage ``fc2``; they extend over more than `settings.reach_max` layers.
    """
    norms = {x: _norms(x, hosts, settings, forces) for x in sorted(hosts.layers)}
    reach = 1
    for shares in norms.values():
        beyond = [s for s, share in enumerate(shares) if share > settings.reach_tolerance]
        reach = max(reach, *beyond) if beyond else reach
    if reach > settings.reach_max:
        raise OracleError(
            "fc2",
            f"force constants reach over {reach} layers; expected at most {settings.reach_max}: "
            "raise reach_max or reach_tolerance, or give layers of more cells",
        )
    details = {
        "principal_layer": reach,
        "reach": {x: [float(f"{share:.3g}") for share in shares] for x, shares in norms.items()},
    }
    if reach > 1:
        details["note"] = (
            f"principal layers of {reach} layers, because force constants reach so far"
        )
    return BlockLibrary(hosts, settings, forces, reach), details


def _norms(letter: str, hosts: Hosts, settings: GreenSettings, forces: ForceField) -> list[float]:
    """Norms of force constants between layers, by distance, relative to that within a layer."""
    furthest = settings.reach_max + 1
    bulk = letter if settings.masses is None else settings.masses
    window = compute(bulk * (2 * furthest - 1), 1, hosts, settings, forces)
    i = window.first
    norms = [
        float(np.linalg.norm(window.constants[:, :, window.starts[j] : window.starts[j + 1]]))
        for j in range(i, min(i + furthest + 1, len(window.starts) - 1))
    ]
    return [x / norms[0] for x in norms]
