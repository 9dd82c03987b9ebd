"""Descriptors of composition and structure that need no potential."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core.composition import Composition as Formula
from pymatgen.core.periodic_table import Element

from oracle.materials.composition import Composition
from oracle.materials.crystal import Crystal
from surrogate.features.descriptors import GLOBALS, global_descriptors
from surrogate.features.feature_store import FeatureStore
from surrogate.features.inputs import Group, Inputs

Array = NDArray[np.float64]
STRUCTURAL = tuple(
    k
    for k, name in enumerate(GLOBALS)
    if name not in ("log_bulk_modulus", "gruneisen", "log_debye", "log_slack", "energy")
)
"""Places of the global descriptors of a structure as given: volume, masses, distances, and so on.
The others need energies."""
_ELEMENTS = 118
_SHARE = 0.2  # typical spread of an element's atomic fraction


class CompositionStore(FeatureStore):
    """A feature store that needs no potential and gives descriptors of composition and structure.

    Each crystal is described by statistics of 22 properties of its elements (Magpie: Ward et al.,
    npj Comput. Mater. 2, 16028 (2016), computed by matminer), its space-group number, and the
    volume, masses, distances and coordination of the structure as given.
    """

    def __init__(self) -> None:
        super().__init__("none")
        self._rows: dict[str, Array] = {}

    def inputs(self, crystals: Sequence[Crystal]) -> Inputs:
        """Descriptors of n crystals as one block, with empty graphs.

        Raises:
            ValueError: matminer is not installed.
        """
        for crystal in crystals:
            if crystal.digest not in self._rows:
                self._rows[crystal.digest] = described(crystal)
        table = np.stack([self._rows[crystal.digest] for crystal in crystals])
        return without_graphs(table)


def composition_inputs(compositions: Sequence[Composition]) -> Inputs:
    """Descriptors of n compositions as two blocks, with empty graphs.

    The first block has statistics of 22 properties of the elements, see `CompositionStore`, the
    second the atomic fraction of each element.

    Raises:
        ValueError: matminer is not installed.
    """
    statistics = np.array([_magpie(one.formula) for one in compositions])
    fractions = np.zeros((len(compositions), _ELEMENTS))
    for row, one in zip(fractions, compositions, strict=True):
        total = sum(amount for _, amount in one.amounts)
        for symbol, amount in one.amounts:
            row[Element(symbol).Z - 1] = amount / total
    inputs = without_graphs(statistics, fractions)
    return replace(inputs, spreads=(inputs.spreads[0], np.full(_ELEMENTS, _SHARE)))


def without_graphs(*blocks: Array) -> Inputs:
    """Blocks (n, g_k) of descriptors as the inputs of a surrogate."""
    n = len(blocks[0])
    graphs = np.zeros((n, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1), np.float32)
    return Inputs(
        n=n,
        groups=(Group(np.arange(n), *graphs),),
        blocks=blocks,
        spreads=tuple(np.ones(block.shape[1]) for block in blocks),
        mirrors=tuple(np.arange(block.shape[1]) for block in blocks),
        descriptors={},
    )


def described(crystal: Crystal) -> Array:
    """The descriptors (142,) of one crystal."""
    structure = crystal.structure()
    magpie = _magpie(structure.composition.reduced_formula)
    own = global_descriptors(structure, None)[list(STRUCTURAL)]
    return np.array([*magpie, float(crystal.spacegroup[1]), *own])


@functools.lru_cache(maxsize=100_000)
def _magpie(formula: str) -> tuple[float, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # matminer warns of each value it imputes
        return tuple(float(x) for x in _featurizer().featurize(Formula(formula)))


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
