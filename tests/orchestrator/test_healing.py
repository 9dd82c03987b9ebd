"""Healing: its events, what they change, and campaigns that are killed at any point of it."""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import yaml
from rich.console import Console

from oracle.contract.evaluation import Measured, Quantity
from oracle.materials.crystal import Crystal
from orchestrator.assembly import prepared
from orchestrator.assembly.oracles import build_oracle
from orchestrator.calls import healing_calls, oracle_calls
from orchestrator.calls.healing_requests import (
    FineTuneAnswer,
    FineTuneRequest,
    HuntAnswer,
    HuntRequest,
    LabelAnswer,
    LabelRequest,
    WantedLabel,
)
from orchestrator.calls.oracle_calls import EvaluationRequest
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import CampaignState
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config, validate
from orchestrator.executors.protocol import CallContext
from orchestrator.queries.queries import best, status
from orchestrator.running import runner
from orchestrator.store.store import Store
from surrogate.healing.force_labels import ForceLabel

CONFIG: dict[str, Any] = {
    "name": "heal",
    "seed": 3,
    "space": {
        "kind": "prototypes",
        "prototypes": ["rocksalt"],
        "elements": ["Li", "Na", "K", "Rb", "F", "Cl", "Br", "I"],
    },
    "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
    "constraints": ["dynamically_stable"],
    "agents": [{"kind": "random"}],
    "surrogate": {"kind": "random-forest", "trees": 10},
    "oracle": {"kind": "phonon-bte", "calculator": "chgnet"},
    "dft": {
        "engine": "7net-0", "max_labels": 6, "per_round": 3, "committee": ["7net-0"],
        "audit_share": 0.34, "renewed": 2,
    },
    "confirmation": {"leaders": 0},
    "budget": {"batch": 2, "oracle_calls": 10},
    "executor": {"kind": "serial"},
    "tracking": {"enabled": False},
}  # fmt: skip


def _numbers(text: str, n: int) -> np.random.Generator:
    return np.random.default_rng([int(text[:12], 16), n])


class Workers:
    """What workers would answer, in no time: kappa and labels follow from digests.

    Args:
        accept: whether new weights are better.
        after: kills the campaign at the call of this number.
    """

    def __init__(self, *, accept: bool = True, after: int | None = None) -> None:
        self.accept = accept
        self.after = after
        self.asked: list[str] = []
        self.hunts: list[HuntRequest] = []

    def _count(self, what: str) -> None:
        self.asked.append(what)
        if self.after is not None and len(self.asked) > self.after:
            raise KeyboardInterrupt

    def evaluate(self, request: EvaluationRequest, context: CallContext) -> Measured:
        self._count("evaluate")
        crystal = request.material
        assert isinstance(crystal, Crystal)
        healed = "weights" in str(request.oracle.calculator)
        value = float(_numbers(crystal.digest, 0).uniform(1.0, 9.0)) + 20.0 * healed
        return Measured(
            material=crystal,
            fidelity="bte",
            method=build_oracle(request.oracle, request.fidelity).method_digest,
            cost_s=2.0,
            stage="bte",
            temperature=(300.0,),
            properties={"kappa": Quantity(value=[value], unit="W/m/K", per_temperature=True)},
        )

    def hunt(self, request: HuntRequest, context: CallContext) -> HuntAnswer:
        self._count("hunt")
        self.hunts.append(request)

        def wanted(crystal: Crystal, purpose: Literal["hole", "audit"]) -> WantedLabel:
            name = f"{crystal.formula}-{crystal.digest[:6]}-0{request.suffix}"
            return WantedLabel(name, crystal.digest, 0, purpose, 0.2, 0.5, "because")

        labelled = {label.id for label in request.labels}
        holes = [wanted(crystal, "hole") for crystal in request.materials]
        audits = [wanted(crystal, "audit") for crystal in request.audits]
        chosen = [hole for hole in holes if hole.id not in labelled][: request.budget]
        labels = (*chosen, *audits) if chosen else ()
        return HuntAnswer(cost_s=1.0, labels=labels, pool=4, expected=0.2, remaining=0.1)

    def label_one(self, request: LabelRequest, context: CallContext) -> LabelAnswer:
        self._count("label")
        crystal = request.material
        atoms = len(crystal.species)
        label = ForceLabel(
            id=request.id,
            cell=np.asarray(crystal.lattice),
            positions=np.asarray(crystal.positions) + 1e-6 * zlib.crc32(request.id.encode()),
            numbers=np.full(atoms, 11),
            forces=_numbers(crystal.digest, 1).random((atoms, 3)),
            engine="7net-0",
            settings="s" * 64,
        )
        return LabelAnswer(cost_s=3.0, label=label)

    def fine_tune(self, request: FineTuneRequest, context: CallContext) -> FineTuneAnswer:
        self._count("fine_tune")
        trained = sorted(label.id for label in request.labels)
        audits = [label.id for label in request.elsewhere]
        assert audits
        assert not set(trained) & set(audits)
        answer = FineTuneAnswer(
            accepted=self.accept,
            reason="as told",
            cost_s=5.0,
            labels=len(trained),
            errors={"held_out_before": 0.2, "held_out_after": 0.1},
        )
        if not self.accept:
            return answer
        request.folder.mkdir(parents=True, exist_ok=True)
        weights = request.folder / f"{len(trained)}.pth"
        weights.write_bytes(str(trained).encode())
        return replace(answer, family="chgnet", weights=weights.name, digest="d" * 64)


@pytest.fixture
def run(
    tmp_path: Path, stand_in: Callable[[Any, Any], None]
) -> Callable[..., tuple[Campaign, Workers]]:
    """Launches or resumes a campaign in a home of its own."""

    def go(home: str = "home", **changes: Any) -> tuple[Campaign, Workers]:
        workers = Workers(accept=changes.pop("accept", True), after=changes.pop("after", None))
        stand_in(oracle_calls.evaluate, workers.evaluate)
        stand_in(
            oracle_calls.try_potentials, lambda request, context: oracle_calls.PreflightAnswer()
        )
        stand_in(healing_calls.hunt, workers.hunt)
        stand_in(healing_calls.label_one, workers.label_one)
        stand_in(healing_calls.fine_tune, workers.fine_tune)
        store = Store(tmp_path / home)
        names = {row.name for row in store.campaigns()}
        if "heal" not in names:
            path = tmp_path / f"{home}.yaml"
            path.write_text(yaml.safe_dump(CONFIG | changes))
            runner.create(store, prepared.prepare(load_config(path)))
        try:
            runner.run_campaign(store, "heal", console=Console(file=io.StringIO()))
        except KeyboardInterrupt:
            if workers.after is None:
                raise
        return Campaign(store, "heal"), workers

    return go


def _story(state: CampaignState) -> list[Any]:
    """All that must not depend on interruptions."""
    return [
        [(t.plan.digest, t.plan.method, t.plan.purpose, t.status) for t in state.trials.values()],
        [(h.round, h.potential.rsplit("/")[-1], h.labels) for h in state.hunts],
        list(state.force_labels),
        [(h.round, h.accepted, h.weights, h.labels) for h in state.healings],
        sorted((name, label.evaluation.method) for name, label in state.labels.items()),
    ]


def test_accepted_weights_take_over(run: Callable[..., tuple[Campaign, Workers]]) -> None:
    campaign, workers = run()
    state = campaign.state
    assert [h.accepted for h in state.healings] == [True, True]
    assert state.healings[0].weights == "weights/2.pth"
    assert state.generation == 2
    assert str(campaign.potential).startswith("chgnet:/")
    assert str(campaign.potential).endswith("weights/4.pth")
    assert campaign.config.oracle.calculator == "chgnet"
    # With new weights, the best candidates so far were evaluated again before anything else.
    renewed = state.of_purpose("renew")
    assert [t.round for t in renewed] == [2, 2, 4, 4]
    assert {t.plan.generation for t in renewed[:2]} == {1}
    assert all(t.plan.generation == 2 for t in state.trials.values() if t.round >= 4)
    assert len({t.plan.method for t in state.objective_trials()}) == 3
    assert state.methods["bte"] == state.trials[max(state.trials)].plan.method
    assert len(workers.asked) == 10 + 2 * (1 + 3 + 1)


def test_better_candidates_are_worth_more_labels(
    run: Callable[..., tuple[Campaign, Workers]],
) -> None:
    campaign, workers = run(accept=False)
    request = workers.hunts[-1]
    assert request.trusted
    weights = dict(zip((c.digest for c in request.materials), request.importance, strict=True))
    state = campaign.state
    values = {
        trial.plan.digest: float(_numbers(trial.plan.digest, 0).uniform(1.0, 9.0))
        for trial in state.objective_trials()
    }
    by_weight = sorted(weights, key=lambda digest: -weights[digest])
    assert by_weight == sorted(weights, key=lambda digest: values[digest])  # the lowest is best
    assert len(set(weights.values())) == len(weights) > 1


def test_best_lists_present_weights_first_and_marks_the_others(
    run: Callable[..., tuple[Campaign, Workers]],
) -> None:
    campaign, _ = run()
    rows = best(campaign.store, "heal", 50)
    stale = [row["stale"] for row in rows]
    assert stale == sorted(stale)
    assert 0 < sum(stale) < len(rows)
    assert all(row["value"] > 20 for row in rows if not row["stale"])
    document = status(campaign.store, "heal")
    assert document["dft_calls"] == 6
    assert document["weights"] == "weights/4.pth"
    assert [h["accepted"] for h in document["healings"]] == [True, True]
    assert document["cost_h"] == pytest.approx((10 * 2 + 2 * 1 + 6 * 3 + 2 * 5) / 3600, abs=1e-6)


def test_refused_weights_change_nothing(run: Callable[..., tuple[Campaign, Workers]]) -> None:
    campaign, _ = run(accept=False)
    state = campaign.state
    assert [h.accepted for h in state.healings] == [False, False]
    assert state.generation == 0
    assert not state.of_purpose("renew")
    assert campaign.potential == "chgnet"
    assert not any(row["stale"] for row in best(campaign.store, "heal", 50))


def test_labels_are_kept_with_their_settings(
    run: Callable[..., tuple[Campaign, Workers]],
) -> None:
    campaign, _ = run()
    done = campaign.state.force_labels
    assert len(done) == 6
    documents = campaign.store.force_labels([str(d.digest) for d in done.values()])
    assert [d["id"] for d in documents] == list(done)
    assert {d.settings for d in done.values()} == {"s" * 64}


def test_earlier_answers_are_a_cheaper_fidelity(
    run: Callable[..., tuple[Campaign, Workers]],
) -> None:
    state = run()[0].state
    present = state.evaluations()
    earlier = state.low_fidelity_evaluations()
    assert {e.method for e in present} == {state.methods["bte"]}
    assert {e.fidelity for e in earlier} == {"bte-earlier"}
    assert not {e.material.digest for e in present} & {e.material.digest for e in earlier}


def test_a_killed_campaign_ends_as_if_it_had_not_been(
    run: Callable[..., tuple[Campaign, Workers]],
) -> None:
    """Killed in a round, in the hunt, at a label, in the fine-tuning, and in renewed trials."""
    campaign, workers = run()
    kinds = ["evaluate", "hunt", "label", "fine_tune"]
    assert [workers.asked.index(kind) for kind in kinds] == [0, 2, 3, 6]
    for after in (1, 2, 4, 6, 7):
        killed = run(f"home-{after}", after=after)[1]
        assert len(killed.asked) == after + 1
        again, rest = run(f"home-{after}")
        assert _story(again.state) == _story(campaign.state)
        # At most the call that was running is repeated.
        assert len(killed.asked) - 1 + len(rest.asked) == len(workers.asked)


def test_no_labels_left_no_hunt(run: Callable[..., tuple[Campaign, Workers]]) -> None:
    settings = CONFIG["dft"] | {"max_labels": 3}
    campaign, workers = run(dft=settings)
    assert workers.asked.count("hunt") == 1
    assert len(campaign.state.force_labels) == 3


def test_a_label_that_fails_is_left_out(
    run: Callable[..., tuple[Campaign, Workers]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Workers.label_one

    def failing(self: Workers, request: LabelRequest, context: CallContext) -> LabelAnswer:
        answer = plain(self, request, context)
        if self.asked.count("label") == 1:
            return LabelAnswer(cost_s=3.0, error="label: the SCF did not converge")
        return answer

    monkeypatch.setattr(Workers, "label_one", failing)
    campaign, _workers = run()
    errors = [d.error for d in campaign.state.force_labels.values() if d.error]
    assert errors == ["label: the SCF did not converge"]
    assert not campaign.state.healings[0].accepted
    assert "1 force labels were computed" in campaign.state.healings[0].reason
    assert campaign.state.healings[1].accepted


def test_refused_materials_cost_no_label_and_are_not_asked_for_again(
    run: Callable[..., tuple[Campaign, Workers]], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Workers.label_one
    refused: list[str] = []

    def refusing(self: Workers, request: LabelRequest, context: CallContext) -> LabelAnswer:
        answer = plain(self, request, context)
        if "Br" in request.material.species:
            refused.append(request.material.digest)
            return LabelAnswer(cost_s=0.0, error="dft: no moment of Br", refused=True)
        return answer

    monkeypatch.setattr(Workers, "label_one", refusing)
    campaign, workers = run()
    labels = campaign.state.force_labels.values()
    assert len(refused) == len(set(refused)) > 0
    assert sum(d.refused for d in labels) == len(refused)
    assert len([d for d in labels if d.error is None]) == CONFIG["dft"]["max_labels"]
    assert workers.asked.count("label") == CONFIG["dft"]["max_labels"] + len(refused)


def test_one_that_cannot_judge_ends_with_the_cause(
    run: Callable[..., tuple[Campaign, Workers]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Workers, request: HuntRequest, context: CallContext) -> HuntAnswer:
        raise ValueError("no memory")

    monkeypatch.setattr(Workers, "hunt", broken)
    campaign, _ = run()
    stopped = campaign.state.stopped
    assert stopped is not None
    assert stopped.state == "failed"
    assert "healing the potential" in stopped.reason
    assert "no memory" in stopped.reason


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dft": {"max_labels": 4}}, "engine is none"),
        ({"dft": {"engine": "gpaw"}}, "max_labels is 0; expected at least 2"),
        ({"dft": {"engine": "chgnet", "max_labels": 4}}, "also named as engine or in committee"),
        (
            {
                "dft": {"engine": "gpaw", "max_labels": 4},
                "oracle": {"kind": "phonon-bte", "calculator": "mace-mpa-0"},
            },
            "'mace-mpa-0' cannot be fine-tuned",
        ),
    ],
)
def test_configs_that_cannot_be(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(CONFIG | changes, "config.yaml")


def test_an_engine_by_name_gets_its_defaults() -> None:
    config = validate(CONFIG | {"dft": {"engine": "gpaw", "max_labels": 4,
                                        "committee": ["7net-0"]}}, "config.yaml")  # fmt: skip
    assert config.dft.model_dump(mode="json")["engine"]["cutoff_ev"] == 500.0


def test_old_campaigns_are_read() -> None:
    """Events recorded before healing existed have neither generation nor purpose."""
    plan = ev.TrialPlan.model_validate(
        {
            "id": "t-0001", "candidate": "c-1", "digest": "d", "fidelity": "bte", "method": "m",
            "purpose": "promise", "agent": "random",
        }
    )  # fmt: skip
    assert plan.generation == 0
    state = CampaignState(config={"dft": {"engine": "none", "max_labels": 0}})
    assert state.open_hunt is None
    assert state.generation == 0
