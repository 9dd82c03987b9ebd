"""The second loop: find where a potential is wrong, compute force labels, and fine-tune it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from agents.contract.protocol import Candidate, Space
from agents.holes.supercell_pool import SupercellPoolSettings
from oracle.contract.protocol import Oracle
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.potentials.dft_settings import Potential
from orchestrator.assembly.oracles import build_oracles
from orchestrator.calls.healing_calls import fine_tune, hunt, label_one
from orchestrator.calls.healing_requests import (
    FineTuneAnswer,
    FineTuneRequest,
    HuntRequest,
    LabelRequest,
    Surroundings,
)
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import leaders
from orchestrator.config.config import CampaignConfig
from orchestrator.config.healing_settings import DftSettings
from orchestrator.executors.protocol import Answer, CallContext, Executor, Request
from orchestrator.healing.trusted import trusted_crystals
from orchestrator.store.rows import NewForceLabel
from surrogate.healing.force_labels import ForceLabel

_SHUFFLE_STREAM = 5  # stage number of the random stream
_HALF = 4  # rank at which a candidate's squared error weighs half as much as that of the best
_LISTED = 20_000  # most materials from which audits and replay materials are drawn


@dataclass
class Healer:
    """Heals the potential of one campaign, between its rounds.

    Its decisions follow from the recorded events and the seed, and each step is recorded before the
    next begins, so that a campaign that was killed continues with the supercell it was computing.

    Args:
        campaign: open for writing.
        space: all materials.
        executor: runs hole hunts, force labels and fine-tuning in workers.
        on_stage: called with the name of each stage as it begins.
    """

    campaign: Campaign
    space: Space
    executor: Executor
    on_stage: Callable[[str], None] = lambda stage: None

    def run(self) -> dict[str, Oracle] | None:
        """Continue the open hole hunt, or begin one where a round has ended since the last.

        Returns:
            The oracles with new weights, if these were accepted; else None.
        """
        state, settings = self.campaign.state, self.campaign.config.dft
        if not settings.heals:
            return None
        if state.open_hunt is None:
            if not self._due():
                return None
            self._hunt()
        open_hunt = self.campaign.state.open_hunt
        if open_hunt is None:
            return None
        self._label(open_hunt)
        return self._heal(open_hunt)

    def _due(self) -> bool:
        """Whether another round than a renewal ended since the last hunt, and labels are left."""
        state = self.campaign.state
        last_hunt = state.hunts[-1].round if state.hunts else 0
        if not state.rounds or state.rounds[-1].number <= last_hunt or self._labels_left() < 2:
            return False
        purposes = [state.trials[name].plan.purpose for name in state.rounds[-1].trials]
        return any(purpose != "renew" for purpose in purposes)

    def _labels_left(self) -> int:
        planned = sum(len(hunt.labels) for hunt in self.campaign.state.hunts)
        refused = sum(done.refused for done in self.campaign.state.force_labels.values())
        return self.campaign.config.dft.max_labels - planned + refused

    def _refused(self) -> set[str]:
        """Digests of the materials that the engine refused, which are not planned again."""
        state = self.campaign.state
        plans = {plan.id: plan for hunt_ in state.hunts for plan in hunt_.labels}
        return {plans[d.label].material for d in state.force_labels.values() if d.refused}

    def _hunt(self) -> None:
        self.on_stage("looking for holes")
        campaign, settings = self.campaign, self.campaign.config.dft
        assessed = self._assessed()
        candidates = {crystal.digest: name for name, crystal in assessed.items()}
        room = min(settings.per_round, self._labels_left())
        audits = [
            Candidate(c, "audit", label=self.space.label(c))
            for c in self._audited(room, candidates)
        ]
        candidates |= {audit.material.digest: audit.id for audit in audits}
        request = HuntRequest(
            surroundings=self._surroundings,
            materials=tuple(assessed.values()),
            potential=_trainable(campaign.potential),
            committee=_committee(campaign.config),
            first=tuple(assessed[name].digest for name in self._disputed() if name in assessed),
            labels=self._force_labels("hole"),
            trained=campaign.state.generation > 0,
            seed=campaign.config.seed,
            budget=room - len(audits),
            threshold=settings.threshold,
            audits=tuple(_crystal(audit.material) for audit in audits),
            # Other weights relax a crystal to another cell, so that its supercells differ too.
            suffix=f"-w{campaign.state.generation}" if campaign.state.generation else "",
            importance=self._importance(list(assessed)),
            trusted=trusted_crystals(),
        )
        answer = self._answer(hunt, request)
        plans = [
            ev.LabelPlan(candidate=candidates[label.material], **asdict(label))
            for label in answer.labels
        ]
        event = ev.HoleHunt(
            round=campaign.state.rounds[-1].number,
            potential=request.potential,
            labels=tuple(plans),
            pool=answer.pool,
            expected=answer.expected,
            remaining=answer.remaining,
            cost_s=answer.cost_s,
        )
        named = {plan.candidate for plan in plans}
        campaign.record(event, candidates=[audit for audit in audits if audit.id in named])

    def _audited(self, room: int, others: Mapping[str, str]) -> list[Crystal]:
        """Crystals for this hunt's audits: the next in a fixed random order, except `others`."""
        refused, hunts = self._refused(), self.campaign.state.hunts
        plans = [plan for hunt_ in hunts for plan in hunt_.labels if plan.purpose == "audit"]
        done = sum(plan.material not in refused for plan in plans)
        count = round(room * self.campaign.config.dft.audit_share)
        left_out = refused | others.keys()
        free = (crystal for crystal in self._shuffled() if crystal.digest not in left_out)
        return list(itertools.islice(free, done, done + count))

    def _assessed(self) -> dict[str, Crystal]:
        """The crystals on which the potential is assessed, by candidate id.

        These are leaders with which a second potential disagrees, other leaders until half of the
        places are taken, then the candidates that were evaluated last.
        """
        campaign, state = self.campaign, self.campaign.state
        best = [row.label.candidate for row in leaders(state, campaign.objective)]
        recent = [t.plan.candidate for t in reversed(state.objective_trials()) if t.outcome]
        half = -(-campaign.config.dft.materials // 2)
        refused = self._refused()
        crystals = (
            (name, _crystal(campaign.store.candidate(name).material))
            for name in dict.fromkeys([*self._disputed(), *best[:half], *recent, *best[half:]])
        )
        usable = ((name, crystal) for name, crystal in crystals if crystal.digest not in refused)
        return dict(itertools.islice(usable, campaign.config.dft.materials))

    def _importance(self, names: Sequence[str]) -> tuple[float, ...]:
        """Weights of candidates' squared errors: 1 for the best, 1/2 a few ranks further on.

        What is no leader, because it is unstable or beyond the limits, may be so by an error of the
        potential, and counts as a leader in the middle of the list.
        """
        best = [
            row.label.candidate for row in leaders(self.campaign.state, self.campaign.objective)
        ]
        ranks = {name: rank for rank, name in enumerate(best)}
        middle = len(best) / 2
        return tuple(1.0 / (1.0 + ranks.get(name, middle) / _HALF) for name in names)

    def _disputed(self) -> list[str]:
        """Leaders, by candidate id, with which a second potential disagrees; the best first."""
        rows = leaders(self.campaign.state, self.campaign.objective)
        return [row.label.candidate for row in rows if row.label.is_disputed]

    def _label(self, open_hunt: ev.HoleHunt) -> None:
        """Compute the force labels that are missing; each is recorded as soon as it is computed."""
        campaign = self.campaign
        missing = [p for p in open_hunt.labels if p.id not in campaign.state.force_labels]
        if not missing:
            return
        self.on_stage("labelling supercells")
        requests = [
            LabelRequest(
                surroundings=self._surroundings,
                material=_crystal(campaign.store.candidate(plan.candidate).material),
                id=plan.id,
                number=plan.number,
                potential=_trainable(campaign.potential),  # as in the hunt; the home may have moved
                engine=campaign.config.dft.engine,
            )
            for plan in missing
        ]
        for plan, answer in zip(missing, self.executor.map(label_one, requests), strict=True):
            label = answer.label
            event = ev.LabelDone(
                label=plan.id,
                digest=None if label is None else label.digest,
                settings=None if label is None else label.settings,
                cost_s=answer.cost_s,
                error=answer.error,
                refused=answer.refused,
            )
            rows = [] if label is None else [_row(plan, label, answer.cost_s)]
            campaign.record(event, labels=rows)

    def _heal(self, open_hunt: ev.HoleHunt) -> dict[str, Oracle] | None:
        """Fine-tune on all force labels, and record the verdict."""
        self.on_stage("fine-tuning")
        campaign, answer = self.campaign, self._fine_tuned()
        healing = ev.Healing(
            round=open_hunt.round,
            accepted=answer.accepted,
            reason=answer.reason,
            family=answer.family,
            weights=None if answer.weights is None else f"weights/{answer.weights}",
            digest=answer.digest,
            labels=answer.labels,
            errors=dict(answer.errors),
            cost_s=answer.cost_s,
        )
        if not healing.accepted:
            campaign.record(healing)
            return None
        oracles = self._oracles(healing)
        methods = {name: oracle.method_digest for name, oracle in oracles.items()}
        campaign.record(healing.model_copy(update={"methods": methods}))
        return oracles

    def _fine_tuned(self) -> FineTuneAnswer:
        """Result of fine-tuning on all force labels, or a refusal where there are too few."""
        campaign, config = self.campaign, self.campaign.config
        labels = self._force_labels("hole")
        if len(labels) < 2:
            reason = f"{len(labels)} force labels were computed; expected at least 2"
            return FineTuneAnswer(accepted=False, reason=reason, cost_s=0.0)
        request = FineTuneRequest(
            surroundings=self._surroundings,
            replayed=tuple(self._replayed()),
            original=_trainable(config.oracle.calculator),
            current=_trainable(campaign.potential),
            labels=labels,
            elsewhere=self._force_labels("audit"),
            folder=(campaign.store.home / "weights").absolute(),
            epochs=config.dft.epochs,
            seed=config.seed,
        )
        return self._answer(fine_tune, request)

    def _oracles(self, healing: ev.Healing) -> dict[str, Oracle]:
        """The oracles with new weights."""
        path = (self.campaign.store.home / str(healing.weights)).absolute()
        config = self.campaign.config
        settings = config.oracle.model_copy(update={"calculator": f"{healing.family}:{path}"})
        return build_oracles(config.model_copy(update={"oracle": settings}), self.space)

    def _replayed(self) -> list[Crystal]:
        """Replay materials, on which new weights must stay close to the old; none has a label."""
        labelled = {plan.material for hunt in self.campaign.state.hunts for plan in hunt.labels}
        others = (c for c in self._shuffled() if c.digest not in labelled)
        return list(itertools.islice(others, self.campaign.config.dft.replay))

    def _shuffled(self) -> Iterator[Crystal]:
        """Crystals of the space in a random order that is the same every time."""
        rng = np.random.default_rng([self.campaign.config.seed, 0, _SHUFFLE_STREAM, 0])
        materials = self.space.listed(_LISTED, rng)
        for i in rng.permutation(len(materials)):
            material = materials[int(i)]
            if isinstance(material, Crystal):
                yield material

    def _force_labels(self, purpose: str) -> tuple[ForceLabel, ...]:
        """All force labels with a purpose so far, in the order of planning."""
        state = self.campaign.state
        plans = [p for hunt_ in state.hunts for p in hunt_.labels if p.purpose == purpose]
        done = [state.force_labels[p.id] for p in plans if p.id in state.force_labels]
        digests = [event.digest for event in done if event.digest is not None]
        documents = self.campaign.store.force_labels(digests)
        return tuple(ForceLabel.from_document(document) for document in documents)

    def _answer(
        self, function: Callable[[Request, CallContext], Answer], request: Request
    ) -> Answer:
        return next(iter(self.executor.map(function, [request])))

    @property
    def _surroundings(self) -> Surroundings:
        settings = self.campaign.config.dft
        supercells = SupercellPoolSettings(copies=settings.copies, most_atoms=settings.most_atoms)
        return Surroundings(supercells, self.campaign.store.home / "artefacts")


def _committee(config: CampaignConfig) -> tuple[str, ...]:
    """The potentials that judge the campaign's own: the one that gives second opinions, if any.

    It replaces the default committee, and joins one that the config names.
    """
    second, named = config.confirmation.second_opinion, config.dft.committee
    if second is None:
        return named
    others = () if named == DftSettings.model_fields["committee"].default else named
    return tuple(dict.fromkeys([second, *others]))


def _trainable(potential: Potential | None) -> str:
    """The name of a potential that is to be healed; configs with any other are refused earlier."""
    if not isinstance(potential, str):
        raise TypeError(f"the potential {potential!r} cannot be healed; expected the name of one")
    return potential


def _crystal(material: Material) -> Crystal:
    """A material of a campaign that heals, which can only be a crystal."""
    if not isinstance(material, Crystal):
        raise TypeError(f"{material.formula} is not a crystal; healing works for crystals only")
    return material


def _row(plan: ev.LabelPlan, label: ForceLabel, cost_s: float) -> NewForceLabel:
    """The label's row in the database."""
    return NewForceLabel(
        digest=label.digest,
        settings=label.settings,
        engine=label.engine,
        material=plan.material,
        formula=label.formula,
        cost_s=cost_s,
        payload=json.dumps(label.document()),
    )
