"""What is near what among the members of a listed space that are of one kind."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


class Index:
    """Of a kind of which nothing is known: all members are strangers to each other.

    To derive one, say what `neighbours` are; what cannot be mixed or strained needs no more.

    Args:
        members: materials by their place in the space.
    """

    def __init__(self, members: Mapping[int, Any]) -> None:
        self.members = members

    def neighbours(self, at: int) -> list[int]:
        """Places of members one small change away, nearest first."""
        return []

    def crossings(self, at: int, other: int, rng: np.random.Generator) -> list[int]:
        """Places of members that mix two others, in random order."""
        return []

    def strained(self, at: int) -> list[int]:
        """Places of members of the same structure type, nearest in volume first."""
        return []
