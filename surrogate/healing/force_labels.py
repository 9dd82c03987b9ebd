"""Reference forces of supercells (force labels), from which a potential is fine-tuned.

All labels of one fine-tuning come from one engine with one set of settings: results for two cutoffs
or two functionals differ by more than the error of a potential, which would learn the difference.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms
from numpy.typing import NDArray

from oracle.potentials.dft_settings import Potential, described
from oracle.potentials.forces import ForceField, checked
from oracle.potentials.table import weights_digest
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError
from oracle.runtime.files import write_whole

Array = NDArray[np.float64]
UNITS = "eV, Å"
"""Units of every label; a record that states other units is refused."""
STAGE = "label"
"""Name of this stage in errors and in the stage store."""


@dataclass(frozen=True, eq=False)
class ForceLabel:
    """One supercell with its reference forces.

    Args:
        id: name of the record in error messages, for instance ``NbCoGe-03``.
        cell: (3, 3), row vectors, Å.
        positions: (n, 3), Cartesian, Å.
        numbers: (n,), atomic numbers.
        forces: (n, 3), eV/Å.
        engine: description of the program or potential that computed it.
        settings: SHA-256 of everything that affects the numbers, see `settings_digest`.
        energy: eV, or None.
        stress: (6,), eV/Å³ in Voigt order with ASE's sign, or None.

    Raises:
        ValueError: an array of the wrong shape, or a number that is not finite; the message names
            the record.
    """

    id: str
    cell: Array
    positions: Array
    numbers: NDArray[np.int64]
    forces: Array
    engine: str
    settings: str
    energy: float | None = None
    stress: Array | None = None

    def __post_init__(self) -> None:
        n = len(self.numbers)
        expected: dict[str, tuple[int, ...]] = {
            "cell": (3, 3),
            "positions": (n, 3),
            "forces": (n, 3),
            "stress": (6,),
            "energy": (),
        }
        if n == 0:
            raise ValueError(f"label {self.id!r}: got no atoms; expected at least one")
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is None and name in ("stress", "energy"):
                continue
            array = np.asarray(value, dtype=np.float64)
            if array.shape != shape:
                raise ValueError(
                    f"label {self.id!r}: {name} has the shape {array.shape}; expected {shape}"
                )
            if not np.isfinite(array).all():
                raise ValueError(
                    f"label {self.id!r}: {name} is not finite; compute it again or leave it out"
                )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> ForceLabel:
        """The label that `document` gave, to the last bit.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        arrays = {
            key: np.array(document[key], dtype=np.float64)
            for key in ("cell", "positions", "forces", "stress")
            if document.get(key) is not None
        }
        numbers = np.array(document["numbers"], dtype=np.int64)
        return cls(**{**document, **arrays, "numbers": numbers})

    def document(self) -> dict[str, Any]:
        """All fields as JSON, in their order."""
        return {
            key: value.tolist() if isinstance(value, np.ndarray) else value
            for key, value in vars(self).items()
        }

    @property
    def atoms(self) -> Atoms:
        """The structure, without calculator."""
        return Atoms(self.numbers, positions=self.positions, cell=self.cell, pbc=True)

    @property
    def formula(self) -> str:
        """Reduced formula of the compound."""
        return str(Atoms(self.numbers).symbols.formula.reduce()[0])

    @property
    def digest(self) -> str:
        """SHA-256 of the exact structure and the settings; it identifies the calculation."""
        return digest_of({"structure": structure_digest(self.atoms), "settings": self.settings})


def structure_digest(atoms: Atoms) -> str:
    """SHA-256 of the exact cell, positions and elements."""
    return digest_of(
        {
            "cell": atoms.cell.array.tolist(),
            "positions": atoms.positions.tolist(),
            "numbers": atoms.numbers.tolist(),
        }
    )


def settings_digest(engine: Potential) -> str:
    """SHA-256 of what affects an engine's forces: weights, or a DFT program's settings and data.

    Raises:
        OracleError: stage ``read``; the engine or its weights are missing.
    """
    return digest_of({"engine": described(engine), "weights": weights_digest(engine)})


def label(
    structures: Sequence[tuple[str, Atoms]],
    engine: Potential,
    field: ForceField,
    done: Callable[[float], None] | None = None,
) -> list[ForceLabel]:
    """Compute forces, energy and stress of supercells; finished labels come from the store.

    Args:
        structures: name and periodic structure of each supercell.
        engine: a potential or the settings of a DFT program.
        field: force field of that engine; its store keeps every finished label, and the deadline of
            its context applies.
        done: called with the finished fraction, 0 to 1.

    Raises:
        OracleError: the engine is missing, fails, or returns invalid forces.
        ValueError: `field` belongs to another engine.
    """
    if field.potential != engine:
        raise ValueError(f"the force field belongs to {field.potential}; expected {engine}")
    settings = settings_digest(engine)
    labels = []
    for number, (name, atoms) in enumerate(structures, start=1):
        key = digest_of({"structure": structure_digest(atoms), "settings": settings})
        stored = field.store.load("labels", key)
        if stored is None:
            field.context.check(STAGE)
            arrays, facts = _computed(atoms, engine, field)
            field.store.save("labels", key, arrays, facts)
            stored = arrays, facts
        arrays, facts = stored
        labels.append(
            ForceLabel(
                id=name,
                cell=atoms.cell.array,
                positions=atoms.positions.copy(),
                numbers=atoms.numbers.astype(np.int64),
                forces=arrays["forces"],
                engine=str(engine),
                settings=settings,
                energy=facts["energy"],
                stress=arrays.get("stress"),
            )
        )
        if done is not None:
            done(number / len(structures))
    return labels


def _computed(
    atoms: Atoms, engine: Potential, field: ForceField
) -> tuple[dict[str, Array], dict[str, Any]]:
    """Forces and stress, and the energy, of one label."""
    with field.attached(atoms, STAGE) as ready:
        arrays = {"forces": checked(ready.get_forces(), len(atoms), STAGE, engine)}
        energy = float(ready.get_potential_energy())
        if "stress" in ready.calc.implemented_properties:
            arrays["stress"] = np.asarray(ready.get_stress(), dtype=np.float64)
    if not np.isfinite(energy) or not np.isfinite(arrays.get("stress", np.zeros(6))).all():
        raise OracleError(
            STAGE, f"calculator {engine} gave an energy or stress that is not finite; check it"
        )
    return arrays, {"energy": energy}


def consistent(labels: Sequence[ForceLabel]) -> str:
    """Digest of the settings that all labels share.

    Raises:
        ValueError: no labels, two labels with the same id, or labels with different settings.
    """
    if not labels:
        raise ValueError("got no labels; expected at least one: compute some first")
    names: set[str] = set()
    for one in labels:
        if one.id in names:
            raise ValueError(f"label {one.id!r} is given twice; give each its own id")
        names.add(one.id)
        if one.settings != labels[0].settings:
            raise ValueError(
                f"label {one.id!r} was made with settings {one.settings[:12]} ({one.engine}); "
                f"expected {labels[0].settings[:12]} ({labels[0].engine}), those of "
                f"{labels[0].id!r}: compute it again with these settings"
            )
    return labels[0].settings


def save_labels(path: Path, labels: Sequence[ForceLabel]) -> None:
    """Write labels as JSON lines, from which `load_labels` restores them bit for bit.

    Args:
        path: of the file, which is replaced atomically.
        labels: all from one engine and one set of settings.

    Raises:
        ValueError: as for `consistent`.
    """
    consistent(labels)
    lines = []
    for one in labels:
        record: dict[str, Any] = {"units": UNITS, "energy": one.energy, "stress": None}
        record |= {name: getattr(one, name) for name in ("id", "engine", "settings")}
        for name in ("cell", "positions", "numbers", "forces", "stress"):
            value = getattr(one, name)
            record[name] = None if value is None else np.asarray(value).tolist()
        lines.append(json.dumps(record, allow_nan=False, ensure_ascii=False) + "\n")
    write_whole(path, "".join(lines).encode())


def load_labels(path: Path) -> list[ForceLabel]:
    """Read labels from JSON lines.

    Raises:
        ValueError: a line that is not a label, other units, numbers that are not finite, different
            settings, or no labels at all; the message names the record and the line.
    """
    labels = []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        where = f"{path.name} line {number}"
        try:
            record = json.loads(line)
            units, name = record.pop("units"), record["id"]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{where} is not a label ({error}); expected a JSON object with units and id"
            ) from error
        if units != UNITS:
            raise ValueError(
                f"{where}, label {name!r}: its units are {units!r}; expected {UNITS!r}: convert it"
            )
        try:
            labels.append(ForceLabel.from_document(record))
        except (KeyError, TypeError) as error:
            raise ValueError(f"{where}, label {name!r}: {error}; expected all fields") from error
    consistent(labels)
    return labels
