"""A chemical composition whose structure is not known, to be looked up in a table."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Mapping
from typing import Literal

import numpy as np

from oracle.materials.crystal import BaseMaterial
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

_DECIMALS = 6  # of atomic fractions
_MOST_ATOMS = 1000
"""In a formula of whole numbers; compositions that need more are written with fractions."""
_SHOWN = 80  # characters of a text that is refused


class Composition(BaseMaterial):
    """How many atoms there are of each element; build it with `Composition.of`."""

    kind: Literal["composition"] = "composition"
    amounts: tuple[tuple[str, float], ...]
    """Element symbols in alphabetical order, with atoms per formula unit: the smallest whole
    numbers, or, where these are above a thousand together, atomic fractions."""

    @classmethod
    def of(cls, given: str | Mapping[str, float]) -> Composition:
        """The canonical form of a formula.

        Args:
            given: such as ``Fe0.8Ni0.2``, ``Ca(OH)2`` or ``{"Na": 1, "Cl": 1}``.

        Raises:
            OracleError: stage ``read``; not a formula of known elements in positive amounts.
        """
        counts = _counts(given)
        total = math.fsum(counts.values())
        shares = {symbol: counts[symbol] / total for symbol in sorted(counts)}
        return cls(amounts=tuple(zip(shares, _whole(list(shares.values())), strict=True)))

    @property
    def formula(self) -> str:
        """Reduced formula, for instance ``NaCl`` or ``Fe0.8Ni0.2``."""
        from pymatgen.core.composition import Composition as Formula

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # some elements have no electronegativity
            whole = all(amount == int(amount) for _, amount in self.amounts)
            formula = Formula(dict(self.amounts))
            return str(formula.reduced_formula if whole else formula.formula.replace(" ", ""))

    @functools.cached_property
    def digest(self) -> str:
        """SHA-256 of the rounded atomic fractions."""
        total = math.fsum(amount for _, amount in self.amounts)
        shares = [[symbol, round(amount / total, _DECIMALS)] for symbol, amount in self.amounts]
        return digest_of({"kind": self.kind, "shares": shares})

    @property
    def is_defined(self) -> bool:
        """Without a structure there is nothing to compute."""
        return False

    def contents(self) -> tuple[Mapping[str, float], ...]:
        """The amounts by element."""
        return (dict(self.amounts),)


def _counts(given: str | Mapping[str, float]) -> dict[str, float]:
    """Atoms of each element.

    Raises:
        OracleError: see `Composition.of`.
    """
    from pymatgen.core.composition import Composition as Formula
    from pymatgen.core.periodic_table import Element

    shown = repr(given)[:_SHOWN]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            counts: dict[str, float] = {}
            for key, amount in Formula(given, strict=True).items():
                # Ions of an element are summed. The name of deuterium is D, its symbol H.
                name = str(key.name if isinstance(key, Element) else key.symbol)
                counts[name] = counts.get(name, 0.0) + float(amount)
    except Exception as error:  # pymatgen raises many
        raise _refused(shown) from error
    symbols = all(Element.is_valid_symbol(key) and key not in ("D", "T") for key in counts)
    total = sum(counts.values())
    least = total * 10.0**-_DECIMALS  # smaller amounts would be rounded to nothing
    amounts = math.isfinite(total) and all(least <= n < math.inf for n in counts.values())
    if not (counts and symbols and amounts):
        raise _refused(shown)
    return counts


def _refused(shown: str) -> OracleError:
    return OracleError(
        "read",
        f"{shown} is not a composition; expected a formula of known elements in positive amounts, "
        "each at least a millionth of all, such as NaCl or Fe0.8Ni0.2",
    )


def _whole(shares: list[float]) -> list[float]:
    """The smallest whole numbers in the ratio of some atomic fractions, or rounded fractions."""
    sizes = np.arange(1, _MOST_ATOMS + 1)
    multiples = np.outer(sizes, shares)
    nearest = np.rint(multiples)
    # A fraction that was given with six digits is a ratio of small numbers: 0.333333 is a third.
    fits = (np.abs(multiples - nearest) <= sizes[:, None] * 10.0**-_DECIMALS / 2).all(axis=1)
    fits &= (nearest > 0).all(axis=1)
    if fits.any():
        return [float(n) for n in nearest[int(np.argmax(fits))]]
    return [round(share, _DECIMALS) for share in shares]
