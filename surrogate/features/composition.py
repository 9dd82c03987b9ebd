"""Descriptors that need no potential: what the elements are, and where the atoms sit."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.composition import Composition

from oracle.materials.crystal import Crystal
from surrogate.features.descriptors import GLOBALS, global_descriptors
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Group, Inputs

Array = NDArray[np.float64]
# Of the given structure: volume, masses, distances, coordination; the rest needs an energy.
_STRUCTURAL = tuple(
    k
    for k, name in enumerate(GLOBALS)
    if name not in ("log_bulk_modulus", "gruneisen", "log_debye", "log_slack", "energy")
)


class CompositionStore(FeatureStore):
    """Stands where features of a potential stand, and gives descriptors instead.

    Each crystal is described by statistics of 22 properties of its elements (Magpie: Ward et al.,
    npj Comput. Mater. 2, 16028 (2016), by matminer), its space group's number, and the size and
    coordination of its given structure.
    """

    def __init__(self) -> None:
        super().__init__("none")
        self._rows: dict[str, Array] = {}

    def inputs(self, crystals: Sequence[Crystal]) -> Inputs:
        """Descriptors of n crystals as one block; their graphs are empty.

        Raises:
            ValueError: matminer is not installed.
        """
        for crystal in crystals:
            if crystal.digest not in self._rows:
                self._rows[crystal.digest] = described(crystal)
        table = np.stack([self._rows[crystal.digest] for crystal in crystals])
        n, width = table.shape
        graphs = np.zeros((n, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32)
        return Inputs(
            n=n,
            groups=(Group(np.arange(n), *graphs),),
            blocks=(table,),
            spreads=(np.ones(width),),
            mirrors=(np.arange(width),),
            descriptors={},
        )


def described(crystal: Crystal) -> Array:
    """The descriptors (142,) of one crystal."""
    structure = crystal.structure()
    magpie = _magpie(structure.composition.reduced_formula)
    own = global_descriptors(structure, None)[list(_STRUCTURAL)]
    return np.array([*magpie, float(crystal.spacegroup[1]), *own])


@functools.lru_cache(maxsize=100_000)
def _magpie(formula: str) -> tuple[float, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it imputes what its tables lack, and says so each time
        return tuple(float(x) for x in _featurizer().featurize(Composition(formula)))


@functools.lru_cache(maxsize=1)
def _featurizer() -> Any:
    try:
        from matminer.featurizers.composition import ElementProperty
    except ImportError as error:
        raise ValueError(
            "this surrogate's descriptors need matminer; pip install 'phonoscout[baselines]'"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ElementProperty.from_preset("magpie", impute_nan=True)
