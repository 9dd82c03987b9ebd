"""A generative model of crystals that is steered to the objective by what the campaign measures.

The model writes crystals word by word (`agents.generators.grammar`); it was trained on what
packages know of crystals (`agents.generators.examples`), and before each round it learns from the
measured ones, the better the more. Every round begins from the shipped weights, so that a plan
follows from the evaluations alone, and a bad start is not carried on.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from agents.contract.pareto import overall_scores
from agents.contract.protocol import ProposerFailed, Space
from agents.generators.grammar import Question, answers, sketched
from agents.generators.network import WyckoffNetwork, completed, encoded, loaded
from agents.generators.training import steered
from agents.proposers.base import BaseProposer, Idea, Situation, ranked
from agents.proposers.settings import WyckoffSettings
from agents.spaces.random_crystals import is_well_packed, sized
from agents.spaces.settings import CrystalSpaceSettings
from agents.spaces.site_description import SiteDescription, sites_of
from oracle.contract.evaluation import Measured
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material

_AT_ONCE = 256  # crystals that are written at the same time
_IN_VAIN = 12  # times as many are written as are wanted, at most
_FEWEST = 4  # measured crystals, from which on the model is steered
_SHARE = 0.15  # of the measured crystals, which get most of the weight
_LEADING = 4.0  # the same as a number, at least: of a few results, all tell what is stable
_REPLAYED = 96  # samples of the prior that keep it from forgetting
_REPLAYED_TRIES = 5  # times as many are written at most
Sentence = tuple[list[Question], list[int]]
_PRIOR = "wyckoff_prior.safetensors"


class WyckoffProposer(BaseProposer):
    """Proposes crystals that a generative model writes, ordered by the surrogate.

    Args:
        settings: how many are written, and how far the model may be steered.
        rules: of the open space.
        name: see `BaseProposer`.
        fidelity: see `BaseProposer`.
        near_duplicates: see `BaseProposer`.
    """

    kind = "wyckoff"

    def __init__(
        self,
        settings: WyckoffSettings,
        rules: CrystalSpaceSettings,
        name: str | None = None,
        *,
        fidelity: str | None = None,
        near_duplicates: bool = True,
    ) -> None:
        super().__init__(name, fidelity=fidelity, near_duplicates=near_duplicates)
        self._settings = settings
        self._rules = rules

    def _ideas(self, situation: Situation) -> Iterator[Idea]:
        rng = situation.rng
        network = self._steered(situation)
        written = generated(network, self._rules, rng)
        wanted = max(situation.n, self._settings.number)
        taken = {material.digest for material in situation.taken}
        found: dict[str, Idea] = {}
        for _, crystal in zip(range(_IN_VAIN * wanted), written, strict=False):
            self._written += 1
            if crystal is not None and crystal in situation.space:
                self._members += 1
                if crystal.digest not in taken:
                    found.setdefault(crystal.digest, Idea(crystal))
            if len(found) == wanted:
                break
        yield from ranked(list(found.values()), situation)

    def _steered(self, situation: Situation) -> WyckoffNetwork:
        """The model after learning from the measured crystals."""
        prior = shipped()
        sentences, scores = _rewarded(situation)
        samples = _replayed(self._rules)
        if len(sentences) < _FEWEST or not len(samples) or self._settings.steering == 0:
            return prior
        return steered(
            prior,
            encoded(sentences),
            weighted(scores),
            samples,
            strength=1 / self._settings.steering,
            seed=int(situation.rng.integers(2**31)),
        )

    def _nothing_left(self, space: Space) -> None:
        raise ProposerFailed(
            f"{self.name}: none of {self._written} crystals that the model wrote is well packed "
            f"and new, {self._members} are known; allow more elements, atoms or space groups"
        )


def generated(
    network: WyckoffNetwork,
    rules: CrystalSpaceSettings,
    rng: np.random.Generator,
    *,
    temperature: float = 1.0,
) -> Iterator[Crystal | None]:
    """Crystals of a space without end, None where one came to nothing.

    Elements, composition, size and space group are those that the rules ask for by construction;
    atoms may be too close, or fill too little of the cell, and are then left out.

    Args:
        network: in evaluation mode.
        rules: elements, sizes and space groups.
        rng: source of all randomness.
        temperature: see `completed`.
    """
    while True:
        dialogues = [sketched(rules, rng) for _ in range(_AT_ONCE)]
        for sketch in completed(network, dialogues, rng, temperature=temperature):
            yield None if sketch is None else _filled(sketch)


def _filled(sketch: SiteDescription) -> Crystal | None:
    """The crystal at its predicted volume; None if it is not well packed."""
    structure = sketch.structure()
    return sized(structure) if is_well_packed(structure) else None


def weighted(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (n,), of sum 1, that fall exponentially with the rank of scores (n,)."""
    ranks = np.empty(len(scores))
    ranks[np.argsort(-scores, kind="stable")] = np.arange(len(scores))
    weights = np.exp(-ranks / max(_LEADING, _SHARE * len(scores)))
    return np.asarray(weights / weights.sum())


def _rewarded(situation: Situation) -> tuple[list[Sentence], NDArray[np.float64]]:
    """Measured crystals as sentences, and their scores; only those that can be trusted.

    A model that is rewarded for values with a caution would learn to make crystals of which the
    calculation is wrong.
    """
    sentences: list[Sentence] = []
    scores: list[float] = []
    overall = overall_scores(situation.objective, situation.evaluations)
    for outcome, score in zip(situation.evaluations, overall, strict=True):
        if score is None or not isinstance(outcome, Measured) or outcome.low_confidence:
            continue
        sentence = _in_words(outcome.material)
        if sentence is not None:
            sentences.append(sentence)
            scores.append(score)
    return sentences, np.array(scores)


@functools.lru_cache(maxsize=10_000)
def _in_words(material: Material) -> Sentence | None:
    """The questions and answers that give a crystal; None where the grammar has no words for it."""
    if not isinstance(material, Crystal):
        return None
    try:
        return answers(sites_of(material))
    except ValueError:
        return None


@functools.lru_cache(maxsize=8)
def _replayed(rules: CrystalSpaceSettings) -> torch.Tensor:
    """Sentences of the shipped model about crystals of a space, the same in every round.

    There may be none, where most elements have no composition in the space groups.
    """
    rng = np.random.default_rng(0)
    sentences: list[Sentence] = []
    for _ in range(_REPLAYED_TRIES):
        dialogues = [sketched(rules, rng) for _ in range(_REPLAYED)]
        sketches = completed(shipped(), dialogues, rng)
        sentences += [answers(sketch) for sketch in sketches if sketch is not None]
        if len(sentences) >= _REPLAYED:
            break
    return encoded(sentences[:_REPLAYED])


@functools.cache
def shipped() -> WyckoffNetwork:
    """The model with the weights that come with this package."""
    with importlib.resources.as_file(importlib.resources.files(__package__) / _PRIOR) as path:
        return loaded(Path(path))
