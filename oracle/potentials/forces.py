"""Forces of supercells from an ASE calculator, which are checked, counted and stored."""

from __future__ import annotations

import contextlib
import copy
import io
import itertools
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from ase.calculators.calculator import Calculator
from ase.data import chemical_symbols
from numpy.typing import NDArray

from oracle.materials.crystal import Crystal
from oracle.potentials.batched_forces import atoms_of_one_pass, forces_at_once
from oracle.potentials.dft_settings import Potential
from oracle.potentials.table import calculator, copies_may_share, weights_digest
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import RAISED_BY_LIBRARIES, OracleError, in_words, is_of_the_machine
from oracle.runtime.memory import keep_freed_memory
from oracle.runtime.stages import StageStore
from oracle.runtime.threads import set_torch_threads, torch_threads

Array = NDArray[np.float64]
_TOGETHER = 450  # atoms in all threads; DPA4 takes 2 GiB for 432 atoms of NaCl, 7 for those of BeO
_COMMON = ("Si", "O", "Cu")
"""Almost every potential knows at least one of these elements."""
# SevenNet and MACE state the atomic number of an element that they do not know.
_UNKNOWN_ELEMENT = re.compile(r"not know atomic number:? (\d+)|\b(\d+)\)? is not in list$")


@dataclass
class ForceField:
    """Computes and stores forces with one potential.

    Forces are stored under the digest of the exact positions, so that a killed evaluation loses at
    most one supercell, and a tighter evaluation reuses the supercells it shares with a looser one.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        store: where forces are stored.
        context: of the evaluation; its deadline is checked before every calculation.
        atoms_at_once: number of atoms in one pass over several supercells, where the potential's
            library supports that; None takes what suits the device, 0 computes one by one.
    """

    potential: Potential
    store: StageStore
    context: Context
    atoms_at_once: int | None = None
    calls: int = field(default=0, init=False)
    """Number of supercells whose forces were requested, whether computed or read from the store."""
    computed: int = field(default=0, init=False)
    """Number of supercells whose forces were computed."""
    _counting: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def forces(self, atoms: Atoms, stage: str) -> Array:
        """Forces (n_atoms, 3) in eV/Å.

        Args:
            atoms: any periodic structure.
            stage: named in errors.

        Raises:
            OracleError: the calculator fails, or does not return finite forces.
        """
        with self._quiet(self._threads_of([atoms])):
            return self._several([atoms], stage)[0]

    def at_rest(self, cell: Atoms, stage: str) -> Array:
        """Forces (n_atoms, 3) in eV/Å on the atoms of a small relaxed cell.

        Like the steps of relaxation they are not counted as calls, which are those of supercells.

        Args:
            cell: the primitive cell.
            stage: named in errors.

        Raises:
            OracleError: as for `forces`.
        """
        with self._quiet():
            return self._several([cell], stage, counted=False)[0]

    def many(
        self, structures: Sequence[Atoms], stage: str, done: Callable[[float], None] | None = None
    ) -> Array:
        """Forces (n_structures, n_atoms, 3) in eV/Å of structures of equal size.

        As many are computed at once as the context has threads, each on one thread, so that
        results do not depend on their number. Large ones, which would take too much memory, are
        computed one after the other with all threads, as are those of potentials whose calculators
        cannot be copied, with one. On a GPU one pass computes several, see
        `oracle.potentials.batched_forces`.

        Args:
            structures: periodic, all with the same number of atoms.
            stage: named in errors.
            done: called with the finished share, 0 to 1.

        Raises:
            OracleError: as for `forces`; forces finished before it stay in the store.
        """
        with self._quiet(self._threads_of(structures)):
            size = self._structures_per_pass(structures)
            if size > 1:
                groups = (
                    self._several(structures[k : k + size], stage)
                    for k in range(0, len(structures), size)
                )
                return self._gathered(itertools.chain.from_iterable(groups), len(structures), done)
            threads = min(self.context.threads, len(structures), _fitting(structures))
            each: Iterable[list[Array]]
            if threads < 2 or not copies_may_share(self.potential):
                each = (self._several([atoms], stage) for atoms in structures)
                return self._gathered((f for (f,) in each), len(structures), done)
            with ThreadPoolExecutor(threads, initializer=set_torch_threads, initargs=(1,)) as pool:
                try:
                    each = pool.map(lambda atoms: self._several([atoms], stage), structures)
                    return self._gathered((f for (f,) in each), len(structures), done)
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise

    def _structures_per_pass(self, structures: Sequence[Atoms]) -> int:
        """How many structures one pass of the potential computes."""
        most = self.atoms_at_once
        if most is None:
            most = atoms_of_one_pass(self.potential)
        return max(1, most // max((len(atoms) for atoms in structures), default=1))

    @staticmethod
    def _gathered(
        each: Iterable[Array], number: int, done: Callable[[float], None] | None
    ) -> Array:
        """Collect `number` arrays into one, reporting the finished share."""
        arrays: list[Array] = []
        for forces in each:
            arrays.append(forces)
            if done is not None:
                done(len(arrays) / number)
        return np.array(arrays)

    def _several(
        self, structures: Sequence[Atoms], stage: str, *, counted: bool = True
    ) -> list[Array]:
        """Forces of each structure: read from the store, the missing ones computed in one pass."""
        keys = [self._key(atoms) for atoms in structures]
        with self._counting:
            self.calls += len(structures) if counted else 0
        stored = [self.store.load("forces", key) for key in keys]
        forces = {k: entry[0]["forces"] for k, entry in enumerate(stored) if entry is not None}
        missing = [k for k in range(len(structures)) if k not in forces]
        if missing:
            self.context.check(stage)
            to_compute = [structures[k] for k in missing]
            with self._explained(to_compute[0], stage):
                computed = self._computed(to_compute)
            for k, array in zip(missing, computed, strict=True):
                forces[k] = checked(array, len(structures[k]), stage, self.potential)
            with self._counting:
                self.computed += len(missing) if counted else 0
            for k in missing:
                self.store.save("forces", keys[k], {"forces": forces[k]}, {})
        return [forces[k] for k in range(len(structures))]

    def _computed(self, structures: Sequence[Atoms]) -> list[Array]:
        """Forces as the calculator returns them."""
        if len(structures) > 1:
            return forces_at_once(calculator(self.potential), structures)
        ready = structures[0].copy()
        ready.calc = self._calculator()
        return [ready.get_forces()]

    def _key(self, atoms: Atoms) -> str:
        """Digest under which the forces of a structure are stored."""
        return digest_of(
            {
                "weights": weights_digest(self.potential),
                "cell": atoms.cell.array.tolist(),
                "positions": atoms.positions.tolist(),
                "numbers": atoms.numbers.tolist(),
            }
        )

    def _calculator(self) -> Calculator:
        """The potential's calculator, or a copy with results of its own where copies may share."""
        loaded = calculator(self.potential)
        if not copies_may_share(self.potential):
            return loaded
        own = copy.copy(loaded)
        own.atoms, own.results = None, {}
        return own

    @contextlib.contextmanager
    def attached(self, atoms: Atoms, stage: str) -> Iterator[Atoms]:
        """A copy of the atoms with the calculator, whose exceptions become an `OracleError`."""
        ready = atoms.copy()
        with self._quiet(), self._explained(atoms, stage):
            ready.calc = calculator(self.potential)
            yield ready

    def _threads_of(self, structures: Sequence[Atoms]) -> int:
        """Threads that compute one structure: all of the context if it is large, else one.

        The rounding of sums depends on how they are divided among threads, by which forces differ
        by about 1e-7 eV/Å, as they do from one process to the next.
        """
        return self.context.threads if _fitting(structures) < 2 else 1

    @contextlib.contextmanager
    def _quiet(self, threads: int = 1) -> Iterator[None]:
        """Compute on so many threads, and suppress what potentials print on stdout."""
        keep_freed_memory()
        with contextlib.redirect_stdout(io.StringIO()), torch_threads(threads):
            yield

    @contextlib.contextmanager
    def _explained(self, atoms: Atoms, stage: str) -> Iterator[None]:
        """Turn whatever a calculator raises into an `OracleError`."""
        try:
            yield
        except OracleError:
            raise
        except RAISED_BY_LIBRARIES as error:
            raise self._failure(error, atoms, stage) from error

    def _failure(self, error: BaseException, atoms: Atoms, stage: str) -> OracleError:
        """The `OracleError` for an exception of the calculator."""
        if isinstance(error, MemoryError):
            relief = "give smaller supercells or more memory"
            message = f"out of memory for {len(atoms)} atoms; {relief}"
            return OracleError(stage, message, transient=True)
        name = atoms.get_chemical_formula("metal")
        message = f"calculator {self.potential} failed on {name}: {in_words(error)}"
        if is_of_the_machine(error):
            return OracleError(stage, message, transient=True)
        unknown = self._unknown_elements(error, atoms)
        if unknown:
            return OracleError(
                stage,
                f"calculator {self.potential} does not know {', '.join(unknown)}; use another "
                "calculator",
            )
        return OracleError(stage, message, unexpected=True)

    def _unknown_elements(self, error: BaseException, atoms: Atoms) -> list[str]:
        """Elements that the calculator does not know, from its message or from trials.

        Some calculators raise errors that do not say so. Then all atoms are replaced by each
        element in turn, and by common elements: if some elements work, those that fail are unknown.
        """
        match = _UNKNOWN_ELEMENT.search(str(error))
        if match is not None:
            return [chemical_symbols[int(match[1] or match[2])]]
        if not isinstance(self.potential, str):
            return []  # a DFT program says so itself, and trials would be expensive
        symbols = sorted(set(atoms.get_chemical_symbols()))
        refused = [s for s in symbols if not any(self._takes(atoms, s) for _ in range(2))]
        common = [symbol for symbol in _COMMON if symbol not in symbols]
        some_work = len(refused) < len(symbols) or any(self._takes(atoms, s) for s in common)
        return refused if some_work else []

    def _takes(self, atoms: Atoms, symbol: str) -> bool:
        """Whether the calculator gives forces when all atoms are of one element."""
        probe = atoms.copy()
        probe.set_chemical_symbols([symbol] * len(probe))
        probe.set_constraint()
        try:
            probe.calc = calculator(self.potential)
            probe.get_forces()
        except RAISED_BY_LIBRARIES:
            return False
        return True


def _fitting(structures: Sequence[Atoms]) -> int:
    """How many structures at once do not take more memory than the largest supercells."""
    return max(1, _TOGETHER // max((len(atoms) for atoms in structures), default=1))


def check_elements(potential: Potential, crystals: Iterable[Crystal]) -> None:
    """Compute forces in a few crystals to see whether a potential knows all their elements.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystals: tried until every element has occurred.

    Raises:
        OracleError: stage ``read``; it does not know an element, or it cannot be loaded.
    """
    nowhere = Path()  # nothing is stored
    field = ForceField(potential, StageStore(nowhere), Context(nowhere))
    tried: set[str] = set()
    for crystal in crystals:
        if not set(crystal.species) <= tried:
            tried |= set(crystal.species)
            atoms = Atoms(
                crystal.species, cell=crystal.lattice, scaled_positions=crystal.positions, pbc=True
            )
            with field.attached(atoms, "read") as ready:
                ready.get_forces()


def checked(forces: Any, n_atoms: int, stage: str, potential: Potential) -> Array:
    """Forces as float64 (n_atoms, 3).

    Raises:
        OracleError: they have another shape, or are not finite.
    """
    array = np.asarray(forces, dtype=np.float64)
    if array.shape != (n_atoms, 3):
        raise OracleError(
            stage,
            f"calculator {potential} gave forces of shape {array.shape}; "
            f"expected ({n_atoms}, 3): check the calculator",
        )
    if not np.isfinite(array).all():
        affected = int(np.count_nonzero(~np.isfinite(array).all(axis=1)))
        raise OracleError(
            stage,
            f"calculator {potential} gave forces that are not finite on {affected} of {n_atoms} "
            "atoms; check the structure or use another calculator",
        )
    return np.ascontiguousarray(array)
