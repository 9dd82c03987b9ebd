"""The second loop: find where the potential is wrong, have it labelled, fine-tune, go on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from agents.contract.protocol import Candidate, Space
from agents.holes.supercell_pool import SupercellPoolSettings
from oracle.contract.protocol import Oracle
from oracle.materials.crystal import Crystal
from oracle.materials.material import Material
from oracle.potentials.dft_settings import Potential
from orchestrator.assembly.oracles import build_oracles
from orchestrator.calls.healing_calls import (
    FineTuneAnswer,
    FineTuneRequest,
    HuntRequest,
    LabelRequest,
    Surroundings,
    fine_tune,
    hunt,
    label_one,
)
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import leaders
from orchestrator.executors.protocol import Answer, CallContext, Executor, Request
from orchestrator.store.rows import NewForceLabel
from surrogate.healing.force_labels import ForceLabel

_SHUFFLE_STREAM = 5  # stage number of the random stream
_LISTED = 20_000  # most materials of a space from which replayed ones are drawn


@dataclass
class Healer:
    """Heals the potential of one campaign, between its rounds.

    Everything it decides follows from the recorded events and the seed, and each step is recorded
    before the next is begun: a campaign that was killed goes on with the supercell it was at.

    Args:
        campaign: open for writing.
        space: all materials.
        executor: judges, labels and trains in workers.
        on_stage: told what is being done.
    """

    campaign: Campaign
    space: Space
    executor: Executor
    on_stage: Callable[[str], None] = lambda stage: None

    def run(self) -> dict[str, Oracle] | None:
        """Go on with what is under way, or look for holes where a round ended since the last look.

        Returns:
            The oracles with new weights where those were accepted now, else None.
        """
        state, settings = self.campaign.state, self.campaign.config.dft
        if not settings.heals:
            return None
        if state.open_hunt is None:
            if not self._due():
                return None
            self._hunt()
        hunted = self.campaign.state.open_hunt
        if hunted is None:
            return None
        self._label(hunted)
        return self._heal(hunted)

    def _due(self) -> bool:
        """Whether a round found something new since the last hunt, and labels are left to give."""
        state = self.campaign.state
        looked = state.hunts[-1].round if state.hunts else 0
        if not state.rounds or state.rounds[-1].number <= looked or self._left() < 2:
            return False
        last = [state.trials[name].plan.purpose for name in state.rounds[-1].trials]
        return any(purpose != "renew" for purpose in last)

    def _left(self) -> int:
        planned = sum(len(hunt.labels) for hunt in self.campaign.state.hunts)
        return self.campaign.config.dft.max_labels - planned

    def _hunt(self) -> None:
        self.on_stage("looking for holes")
        campaign, settings = self.campaign, self.campaign.config.dft
        looked_at = self._looked_at()
        candidates = {crystal.digest: name for name, crystal in looked_at.items()}
        room = min(settings.per_round, self._left())
        audits = [
            Candidate(c, "audit", label=self.space.label(c))
            for c in self._audited(room, candidates)
        ]
        candidates |= {audit.material.digest: audit.id for audit in audits}
        request = HuntRequest(
            surroundings=self._surroundings,
            materials=tuple(looked_at.values()),
            potential=_trainable(campaign.potential),
            committee=settings.committee,
            labels=self._known("hole"),
            trained=campaign.state.generation > 0,
            seed=campaign.config.seed,
            budget=room - len(audits),
            threshold=settings.threshold,
            audits=tuple(_crystal(audit.material) for audit in audits),
            # Other weights relax a crystal to another cell: its supercells are others as well.
            suffix=f"-w{campaign.state.generation}" if campaign.state.generation else "",
        )
        found = self._answer(hunt, request)
        plans = [
            ev.LabelPlan(candidate=candidates[wanted.material], **asdict(wanted))
            for wanted in found.labels
        ]
        event = ev.HoleHunt(
            round=campaign.state.rounds[-1].number,
            potential=request.potential,
            labels=tuple(plans),
            pool=found.pool,
            expected=found.expected,
            remaining=found.remaining,
            cost_s=found.cost_s,
        )
        named = {plan.candidate for plan in plans}
        campaign.record(event, candidates=[audit for audit in audits if audit.id in named])

    def _audited(self, room: int, others: Mapping[str, str]) -> list[Crystal]:
        """Materials for this hunt's audits: the next of a fixed random order, none of `others`."""
        done = sum(p.purpose == "audit" for hunt in self.campaign.state.hunts for p in hunt.labels)
        most = round(room * self.campaign.config.dft.audit_share)
        free = (crystal for crystal in self._shuffled() if crystal.digest not in others)
        return list(itertools.islice(free, done, done + most))

    def _looked_at(self) -> dict[str, Crystal]:
        """Leaders, then what was evaluated last, by candidate."""
        campaign, state = self.campaign, self.campaign.state
        best = [row.label.candidate for row in leaders(state, campaign.objective)]
        recent = [t.plan.candidate for t in reversed(state.objective_trials()) if t.outcome]
        first = -(-campaign.config.dft.materials // 2)
        names = list(dict.fromkeys([*best[:first], *recent, *best[first:]]))
        found: dict[str, Crystal] = {}
        for name in names[: campaign.config.dft.materials]:
            found[name] = _crystal(campaign.store.candidate(name).material)
        return found

    def _label(self, hunted: ev.HoleHunt) -> None:
        """Label what is missing; each one is recorded as it comes."""
        campaign = self.campaign
        missing = [p for p in hunted.labels if p.id not in campaign.state.force_labels]
        if not missing:
            return
        self.on_stage("labelling supercells")
        requests = [
            LabelRequest(
                surroundings=self._surroundings,
                material=_crystal(campaign.store.candidate(plan.candidate).material),
                id=plan.id,
                number=plan.number,
                potential=_trainable(campaign.potential),  # the hunt's, wherever the home is now
                engine=campaign.config.dft.engine,
            )
            for plan in missing
        ]
        for plan, found in zip(missing, self.executor.map(label_one, requests), strict=True):
            made = found.label
            event = ev.LabelDone(
                label=plan.id,
                digest=None if made is None else made.digest,
                settings=None if made is None else made.settings,
                cost_s=found.cost_s,
                error=found.error,
            )
            rows = [] if made is None else [_row(plan, made, found.cost_s)]
            campaign.record(event, labels=rows)

    def _heal(self, hunted: ev.HoleHunt) -> dict[str, Oracle] | None:
        """Fine-tune on all labels, record the verdict."""
        self.on_stage("fine-tuning")
        campaign, found = self.campaign, self._fine_tuned()
        healing = ev.Healing(
            round=hunted.round,
            accepted=found.accepted,
            reason=found.reason,
            family=found.family,
            weights=None if found.weights is None else f"weights/{found.weights}",
            digest=found.digest,
            labels=found.labels,
            errors=dict(found.errors),
            cost_s=found.cost_s,
        )
        if not healing.accepted:
            campaign.record(healing)
            return None
        oracles = self._oracles(healing)
        methods = {name: oracle.method_digest for name, oracle in oracles.items()}
        campaign.record(healing.model_copy(update={"methods": methods}))
        return oracles

    def _fine_tuned(self) -> FineTuneAnswer:
        """What fine-tuning on all labels gives, where there are enough of them."""
        campaign, config = self.campaign, self.campaign.config
        labels = self._known("hole")
        if len(labels) < 2:
            reason = f"{len(labels)} labels came of it; expected at least 2"
            return FineTuneAnswer(accepted=False, reason=reason, cost_s=0.0)
        request = FineTuneRequest(
            surroundings=self._surroundings,
            replayed=tuple(self._replayed()),
            original=_trainable(config.oracle.calculator),
            current=_trainable(campaign.potential),
            labels=labels,
            elsewhere=self._known("audit"),
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
        """Materials of the space without a label, for the old weights to be remembered on."""
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

    def _known(self, purpose: str) -> tuple[ForceLabel, ...]:
        """All labels of a purpose so far, in the order of their plans."""
        state = self.campaign.state
        plans = [p for hunted in state.hunts for p in hunted.labels if p.purpose == purpose]
        done = [state.force_labels[p.id] for p in plans if p.id in state.force_labels]
        digests = [one.digest for one in done if one.digest is not None]
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


def _trainable(potential: Potential | None) -> str:
    """The potential of a campaign that heals: one by name, as its config was checked for."""
    if not isinstance(potential, str):
        raise TypeError(f"the potential {potential!r} cannot be healed; expected one by its name")
    return potential


def _crystal(material: Material) -> Crystal:
    """A material of a campaign that heals: only crystals are measured with potentials."""
    if not isinstance(material, Crystal):
        raise TypeError(f"{material.formula} is no crystal; only their potentials can be healed")
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
