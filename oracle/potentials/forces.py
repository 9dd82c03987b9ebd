"""Forces of supercells from an ASE calculator: checked, counted, and never computed twice."""

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
from oracle.runtime.threads import one_thread, set_torch_threads

Array = NDArray[np.float64]
# Each potential refuses elements in its own words; SevenNet and MACE give their number.
_COMMON = ("Si", "O", "Cu")
"""Elements that most potentials know at least one of."""
_UNKNOWN_ELEMENT = re.compile(r"not know atomic number:? (\d+)|\b(\d+)\)? is not in list$")


@dataclass
class ForceField:
    """One potential, asked for the forces of one supercell after another.

    Every answer is stored under the digest of the exact positions, so that a killed evaluation
    loses at most one supercell and a tighter one reuses what it shares with a looser one.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        store: where forces are kept.
        context: of the evaluation; its deadline is looked at before every call.
        atoms_at_once: of one pass over several supercells, where the potential's library can;
            None for what suits the device, 0 for one by one.
    """

    potential: Potential
    store: StageStore
    context: Context
    atoms_at_once: int | None = None
    calls: int = field(default=0, init=False)
    """Supercells asked for, computed now or found in the store."""
    computed: int = field(default=0, init=False)
    """Supercells computed now."""
    _counting: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def forces(self, atoms: Atoms, stage: str) -> Array:
        """Forces (n_atoms, 3) in eV/Å.

        Args:
            atoms: any periodic structure.
            stage: named in errors.

        Raises:
            OracleError: the calculator fails, or gives what are no forces.
        """
        with self._alone():
            return self._several([atoms], stage)[0]

    def many(
        self, structures: Sequence[Atoms], stage: str, done: Callable[[float], None] | None = None
    ) -> Array:
        """Forces (n_structures, n_atoms, 3) in eV/Å of structures of one size.

        As many at once as the context has threads, one thread each: the sums of a potential then
        come out the same however many there are. Potentials that cannot share take one by one. On
        a GPU several are one pass (`oracle.potentials.batched_forces`).

        Args:
            structures: periodic, all of the same number of atoms.
            stage: named in errors.
            done: told the finished share, 0 to 1.

        Raises:
            OracleError: as for `forces`; what was finished before stays in the store.
        """
        with self._alone():
            together = self._of_one_pass(structures)
            if together > 1:
                groups = (
                    self._several(structures[k : k + together], stage)
                    for k in range(0, len(structures), together)
                )
                return self._gathered(itertools.chain.from_iterable(groups), len(structures), done)
            threads = min(self.context.threads, len(structures))
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

    def _of_one_pass(self, structures: Sequence[Atoms]) -> int:
        """How many structures one pass of the potential takes."""
        most = self.atoms_at_once
        if most is None:
            most = atoms_of_one_pass(self.potential)
        return max(1, most // max((len(atoms) for atoms in structures), default=1))

    @staticmethod
    def _gathered(
        each: Iterable[Array], number: int, done: Callable[[float], None] | None
    ) -> Array:
        """An array of what comes one by one, telling how much of it has come."""
        found: list[Array] = []
        for forces in each:
            found.append(forces)
            if done is not None:
                done(len(found) / number)
        return np.array(found)

    def _several(self, structures: Sequence[Atoms], stage: str) -> list[Array]:
        """Forces of each structure: from the store where it has them, else in one pass."""
        keys = [self._key(atoms) for atoms in structures]
        with self._counting:
            self.calls += len(structures)
        stored = [self.store.load("forces", key) for key in keys]
        known = {k: found[0]["forces"] for k, found in enumerate(stored) if found is not None}
        missing = [k for k in range(len(structures)) if k not in known]
        if missing:
            self.context.check(stage)
            wanted = [structures[k] for k in missing]
            with self._explained(wanted[0], stage):
                made = self._computed(wanted)
            for k, forces in zip(missing, made, strict=True):
                known[k] = checked(forces, len(structures[k]), stage, self.potential)
            with self._counting:
                self.computed += len(missing)
            for k in missing:
                self.store.save("forces", keys[k], {"forces": known[k]}, {})
        return [known[k] for k in range(len(structures))]

    def _computed(self, structures: Sequence[Atoms]) -> list[Array]:
        """Forces as the calculator gives them."""
        if len(structures) > 1:
            return forces_at_once(calculator(self.potential), structures)
        ready = structures[0].copy()
        ready.calc = self._calculator()
        return [ready.get_forces()]

    def _key(self, atoms: Atoms) -> str:
        """What stored forces of a structure are found by."""
        return digest_of(
            {
                "weights": weights_digest(self.potential),
                "cell": atoms.cell.array.tolist(),
                "positions": atoms.positions.tolist(),
                "numbers": atoms.numbers.tolist(),
            }
        )

    def _calculator(self) -> Calculator:
        """The potential's calculator; a copy with its own results where copies may share."""
        loaded = calculator(self.potential)
        if not copies_may_share(self.potential):
            return loaded
        own = copy.copy(loaded)
        own.atoms, own.results = None, {}
        return own

    @contextlib.contextmanager
    def attached(self, atoms: Atoms, stage: str) -> Iterator[Atoms]:
        """A copy of the atoms with the calculator; what that raises becomes an `OracleError`."""
        ready = atoms.copy()
        with self._alone(), self._explained(atoms, stage):
            ready.calc = calculator(self.potential)
            yield ready

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread, and nothing on stdout, where some potentials talk.

        The sums of a potential depend on how they are shared out among threads.
        """
        keep_freed_memory()
        with contextlib.redirect_stdout(io.StringIO()), one_thread():
            yield

    @contextlib.contextmanager
    def _explained(self, atoms: Atoms, stage: str) -> Iterator[None]:
        """Whatever a calculator raises becomes an `OracleError`."""
        try:
            yield
        except OracleError:
            raise
        except RAISED_BY_LIBRARIES as error:
            raise self._failure(error, atoms, stage) from error

    def _failure(self, error: BaseException, atoms: Atoms, stage: str) -> OracleError:
        """What is said of an exception of the calculator's."""
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
        """Elements that the calculator refuses, as it says itself or as a comparison shows.

        Some trip over them somewhere inside, with words that tell nothing. Then each element is
        put in the place of all atoms, and so is one that every potential for it knows: where that
        works and another does not, it is that element.
        """
        said = _UNKNOWN_ELEMENT.search(str(error))
        if said is not None:
            return [chemical_symbols[int(said[1] or said[2])]]
        if not isinstance(self.potential, str):
            return []  # a DFT program tells it by itself, and a comparison would be dear
        symbols = sorted(set(atoms.get_chemical_symbols()))
        refused = [s for s in symbols if not any(self._takes(atoms, s) for _ in range(2))]
        common = [symbol for symbol in _COMMON if symbol not in symbols]
        known = len(refused) < len(symbols) or any(self._takes(atoms, s) for s in common)
        return refused if known else []

    def _takes(self, atoms: Atoms, symbol: str) -> bool:
        """Whether the calculator gives forces where all atoms are of one element."""
        probe = atoms.copy()
        probe.set_chemical_symbols([symbol] * len(probe))
        probe.set_constraint()
        try:
            probe.calc = calculator(self.potential)
            probe.get_forces()
        except RAISED_BY_LIBRARIES:  # that is what is asked
            return False
        return True


def check_elements(potential: Potential, crystals: Iterable[Crystal]) -> None:
    """Ask a potential for forces in a few of the crystals, before anything is paid for.

    Args:
        potential: as for `oracle.potentials.table.calculator`.
        crystals: of which so many are tried that every element is.

    Raises:
        OracleError: stage ``read``; an element that it does not know, or it cannot be loaded.
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
    """Forces as float64 (n_atoms, 3), or an `OracleError` where they are not finite or not that."""
    array = np.asarray(forces, dtype=np.float64)
    if array.shape != (n_atoms, 3):
        raise OracleError(
            stage,
            f"calculator {potential} gave forces of shape {array.shape}; "
            f"expected ({n_atoms}, 3): check the calculator",
        )
    if not np.isfinite(array).all():
        bad = int(np.count_nonzero(~np.isfinite(array).all(axis=1)))
        raise OracleError(
            stage,
            f"calculator {potential} gave forces that are not finite on {bad} of {n_atoms} atoms; "
            "check the structure or use another calculator",
        )
    return np.ascontiguousarray(array)
