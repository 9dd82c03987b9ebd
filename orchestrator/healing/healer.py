"""The second loop: find where the potential is wrong, have it labelled, fine-tune, go on."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from agents.contract.protocol import Candidate, Space
from oracle.contract.protocol import Oracle
from oracle.materials.crystal import Crystal
from orchestrator.assembly.oracles import build_oracles
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.ranking import leaders
from orchestrator.executors.protocol import Executor

_SHUFFLE_STREAM = 5  # stage number of the random stream
_LISTED = 20_000  # most materials of a space from which replayed ones are drawn
_MODULE = "orchestrator.calls.healing_calls"


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
        hunt = self.campaign.state.open_hunt
        if hunt is None:
            return None
        self._label(hunt)
        return self._heal(hunt)

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
        round_ = campaign.state.rounds[-1].number
        looked_at = self._looked_at()
        candidates = {crystal.digest: name for name, crystal in looked_at.items()}
        room = min(settings.per_round, self._left())
        audits = [
            Candidate(c, "audit", label=self.space.label(c))
            for c in self._audited(room, candidates)
        ]
        candidates |= {audit.material.digest: audit.id for audit in audits}
        found = self._call(
            "hunt",
            materials=list(looked_at.values()),
            potential=campaign.potential,
            committee=list(settings.committee),
            labels=self._documents(),
            budget=room - len(audits),
            audits=[audit.material.model_dump(mode="json") for audit in audits],
            threshold=settings.threshold,
            trained=campaign.state.generation > 0,
            seed=campaign.config.seed,
            # Other weights relax a crystal to another cell: its supercells are others as well.
            suffix=f"-w{campaign.state.generation}" if campaign.state.generation else "",
        )
        plans = [
            ev.LabelPlan(candidate=candidates[plan["material"]], **plan) for plan in found["labels"]
        ]
        numbers = {key: found[key] for key in ("pool", "expected", "remaining", "cost_s")}
        hunted = ev.HoleHunt(
            round=round_, potential=campaign.potential, labels=tuple(plans), **numbers
        )
        named = {plan.candidate for plan in plans}
        campaign.record(hunted, candidates=[audit for audit in audits if audit.id in named])

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
            material = campaign.store.candidate(name).material
            assert isinstance(material, Crystal)  # only those have potentials
            found[name] = material
        return found

    def _label(self, hunt: ev.HoleHunt) -> None:
        """Label what is missing; each one is recorded as it comes."""
        campaign = self.campaign
        known = campaign.state.force_labels
        missing = [plan for plan in hunt.labels if plan.id not in known]
        if not missing:
            return
        self.on_stage("labelling supercells")
        materials = [campaign.store.candidate(plan.candidate).material for plan in missing]
        payloads = [
            self._payload(
                materials=[material],
                id=plan.id,
                number=plan.number,
                potential=campaign.potential,  # as in the hunt, wherever the home is now
                engine=campaign.config.dft.model_dump(mode="json")["engine"],
            )
            for plan, material in zip(missing, materials, strict=True)
        ]
        replies = self.executor.map(f"{_MODULE}:label_one", payloads)
        for plan, found in zip(missing, replies, strict=True):
            error = found.get("error")
            event = ev.LabelDone(
                label=plan.id,
                digest=found.get("digest"),
                settings=found.get("settings"),
                cost_s=found["cost_s"],
                error=error,
            )
            campaign.record(event, labels=[] if error else [_row(plan, found)])

    def _heal(self, hunt: ev.HoleHunt) -> dict[str, Oracle] | None:
        """Fine-tune on all labels, record the verdict."""
        self.on_stage("fine-tuning")
        campaign, config = self.campaign, self.campaign.config
        documents = self._documents()
        original = getattr(config.oracle, "calculator", None)
        if len(documents) < 2:
            found: dict[str, Any] = {
                "accepted": False,
                "reason": f"{len(documents)} labels came of it; expected at least 2",
                "cost_s": 0.0,
            }
        else:
            found = self._call(
                "fine_tune",
                materials=self._replayed(),
                original=original,
                current=campaign.potential,
                labels=documents,
                elsewhere=self._documents("audit"),
                folder=str((campaign.store.home / "weights").absolute()),
                epochs=config.dft.epochs,
                seed=config.seed,
            )
        weights = found.pop("weights", None)
        healing = ev.Healing(
            round=hunt.round, weights=None if weights is None else f"weights/{weights}", **found
        )
        if not healing.accepted:
            campaign.record(healing)
            return None
        oracles = self._oracles(healing)
        methods = {name: oracle.method_digest for name, oracle in oracles.items()}
        campaign.record(healing.model_copy(update={"methods": methods}))
        return oracles

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

    def _documents(self, purpose: str = "hole") -> list[dict[str, Any]]:
        """All labels of a purpose so far, in the order of their plans."""
        state = self.campaign.state
        plans = [p for hunt in state.hunts for p in hunt.labels if p.purpose == purpose]
        done = [state.force_labels[p.id] for p in plans if p.id in state.force_labels]
        digests = [one.digest for one in done if one.digest is not None]
        return self.campaign.store.force_labels(digests)

    def _call(self, function: str, *, materials: Sequence[Any], **payload: Any) -> dict[str, Any]:
        found = self.executor.map(
            f"{_MODULE}:{function}", [self._payload(materials=materials, **payload)]
        )
        return dict(next(iter(found)))

    def _payload(self, *, materials: Sequence[Any], **payload: Any) -> dict[str, Any]:
        settings = self.campaign.config.dft
        return {
            **payload,
            "materials": [material.model_dump(mode="json") for material in materials],
            "supercells": {"copies": settings.copies, "most_atoms": settings.most_atoms},
            "workdir": str(self.campaign.store.home / "artefacts"),
        }


def _row(plan: ev.LabelPlan, found: dict[str, Any]) -> dict[str, Any]:
    """The label's row in the database."""
    return {
        "digest": found["digest"],
        "settings": found["settings"],
        "engine": found["engine"],
        "material": plan.material,
        "formula": found["formula"],
        "cost_s": found["cost_s"],
        "payload": json.dumps(found["document"]),
    }
