"""Confirmed leaders are evaluated with a second potential, and ranked by what it says."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core.structure import Structure
from rich.console import Console

from agents.contract.objective import Objective
from oracle.contract.evaluation import Failed, Measured, Outcome, Quantity, Unstable
from oracle.materials.crystal import Crystal
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.potentials import accuracy
from oracle.potentials.calibration import Deviations, MeasuredTable
from oracle.potentials.kinship import ORIGINS, likeness
from oracle.potentials.table import POTENTIALS, weights_path
from oracle.replay.oracle import ReplayOracle
from orchestrator.app.cli import main
from orchestrator.assembly import prepared
from orchestrator.assembly.notes import campaign_notes
from orchestrator.assembly.oracles import build_oracle, confirming
from orchestrator.calls import healing_calls, oracle_calls
from orchestrator.calls.healing_requests import HuntAnswer, HuntRequest
from orchestrator.calls.oracle_calls import EvaluationRequest, PreflightRequest
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.records import Label
from orchestrator.campaign.second_opinion import UNKNOWN_ERROR, judge
from orchestrator.config.budget_settings import ConfirmationSettings
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import load_config, validate
from orchestrator.executors.protocol import CallContext
from orchestrator.running import runner
from orchestrator.store.store import Store

POTENTIALS_PY = """
from ase.calculators.emt import EMT

def first():
    return EMT()

def second():
    return EMT()
"""
FIRST, SECOND = "two_potentials:first", "two_potentials:second"
CONFIG: dict[str, Any] = {
    "name": "asked",
    "seed": 1,
    "space": {
        "kind": "prototypes",
        "prototypes": ["rocksalt"],
        "elements": ["Na", "K", "Rb", "Cl", "Br", "I"],
    },
    "objective": {"property": "kappa", "temperature": 300, "goal": "minimize"},
    "constraints": ["dynamically_stable"],
    "agents": [{"kind": "random"}],
    "surrogate": {"kind": "random-forest", "trees": 10},
    "oracle": {"kind": "phonon-bte", "calculator": FIRST},
    "confirmation": {"leaders": 2, "max_calls": 6, "second_opinion": SECOND},
    "budget": {"batch": 6, "oracle_calls": 6},
    "executor": {"kind": "serial"},
    "tracking": {"enabled": False},
}


@pytest.fixture(autouse=True)
def _modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "two_potentials.py").write_text(POTENTIALS_PY)


class Workers:
    """What workers would answer, in no time.

    Args:
        ratio: kappa of the second potential over that of the first, by formula; ``unstable`` or
            ``failed`` where there is none. 1 for all others.
        after: kills the campaign at the call of this number.
    """

    def __init__(self, ratio: dict[str, Any] | None = None, after: int | None = None) -> None:
        self.ratio = ratio or {}
        self.after = after
        self.asked: list[tuple[str, str, int]] = []
        self.hunts: list[HuntRequest] = []

    def evaluate(self, request: EvaluationRequest, context: CallContext) -> Outcome:
        crystal = request.material
        assert isinstance(crystal, Crystal)
        calculator = str(request.oracle.calculator)
        self.asked.append((crystal.formula, calculator, request.level))
        if self.after is not None and len(self.asked) > self.after:
            raise KeyboardInterrupt
        oracle = build_oracle(request.oracle, request.fidelity, None, request.objective)
        tight = oracle.tightened(request.level)
        assert tight is not None
        common: dict[str, Any] = {
            "material": crystal,
            "fidelity": "bte",
            "method": tight.method_digest,
            "cost_s": 2.0,
            "stage": "bte",
            "provenance": {"settings": {"kind": "phonon-bte", "calculator": calculator}},
        }
        ratio = self.ratio.get(crystal.formula, 1.0) if calculator == SECOND else 1.0
        if ratio == "unstable":
            return Unstable(**common, min_frequency=-1.2)
        if ratio == "failed":
            return Failed(**common, message="no convergence", permanent=True)
        value = _kappa(crystal.formula) * ratio
        kappa = Quantity(value=[value], std=[0.02 * value], unit="W/m/K", per_temperature=True)
        properties = {"kappa": kappa}
        if getattr(request.oracle, "full_solution", False):
            properties["kappa_lbte"] = Quantity(
                value=[1.2 * value], unit="W/m/K", per_temperature=True
            )
        return Measured(**common, temperature=(300.0,), properties=properties)

    def hunt(self, request: HuntRequest, context: CallContext) -> HuntAnswer:
        self.hunts.append(request)
        return HuntAnswer(cost_s=1.0)


Run = Callable[..., tuple[Campaign, Workers]]


@pytest.fixture
def run(tmp_path: Path, stand_in: Callable[[Any, Any], None]) -> Run:
    """Launches or resumes a campaign in a home of its own."""

    def go(
        home: str = "home",
        ratio: dict[str, Any] | None = None,
        after: int | None = None,
        overrides: tuple[str, ...] = (),
        retry: bool = False,
        **changes: Any,
    ) -> tuple[Campaign, Workers]:
        workers = Workers(ratio, after)
        stand_in(oracle_calls.evaluate, workers.evaluate)
        stand_in(healing_calls.hunt, workers.hunt)
        config = CONFIG | changes
        store, path = Store(tmp_path / home), tmp_path / f"{home}.yaml"
        if config["name"] not in {row.name for row in store.campaigns()}:
            path.write_text(yaml.safe_dump(config))
            runner.create(store, prepared.prepare(load_config(path)))
        try:
            runner.run_campaign(
                store,
                config["name"],
                overrides=overrides,
                retry_failed=retry,
                console=Console(file=io.StringIO()),
            )
        except KeyboardInterrupt:
            assert after is not None
        return Campaign(store, config["name"]), workers

    stand_in(oracle_calls.try_potentials, lambda request, context: oracle_calls.PreflightAnswer())
    return go


def _command(tmp_path: Path, *words: str) -> Any:
    done = CliRunner().invoke(main, [*words, "--home", str(tmp_path / "home")])
    assert done.exit_code == 0, done.stderr
    return done.stdout


def _best(tmp_path: Path) -> list[dict[str, Any]]:
    return list(json.loads(_command(tmp_path, "best", "asked", "-k", "99", "--json")))


class TestCampaign:
    def test_confirmed_leaders_are_evaluated_as_they_were_proposed(self, run: Run) -> None:
        campaign, workers = run()
        state = campaign.state
        opinions = state.of_purpose("opinion")
        confirmed = {label.candidate for label in state.labels.values() if label.confirmed}
        assert {t.plan.candidate for t in opinions} <= confirmed
        assert len(opinions) >= 2
        first = {t.plan.candidate: t.plan.digest for t in state.objective_trials()}
        assert all(first[t.plan.candidate] == t.plan.digest for t in opinions)
        asked = [(formula, level) for formula, name, level in workers.asked if name == SECOND]
        assert [level for _, level in asked] == [0] * len(opinions)
        assert len(set(asked)) == len(asked)  # each once
        label = state.labels[opinions[-1].plan.candidate]
        assert label.opinion is not None
        assert label.opinion.agrees

    def test_its_values_are_nobodys(self, run: Run) -> None:
        """They count as no oracle call, are no label, and the surrogate does not see them."""
        campaign, _ = run(ratio=dict.fromkeys(["KI", "KBr", "KCl", "NaI", "RbI", "NaBr"], 1.7))
        state = campaign.state
        assert state.calls_used == 6
        seen = [*state.evaluations(), *state.low_fidelity_evaluations()]
        assert {e.provenance["settings"]["calculator"] for e in seen} == {FIRST}
        assert not {t.plan.id for t in state.of_purpose("opinion")} & {
            label.trial for label in state.labels.values()
        }
        # Their cost does count.
        assert state.cost_s() == pytest.approx(2.0 * len(state.trials))

    def test_candidates_that_it_disputes_are_marked_and_listed_after_those_it_does_not(
        self, run: Run, tmp_path: Path
    ) -> None:
        leader = min(_formulas(), key=_kappa)
        campaign, _ = run(ratio={leader: 9.0}, budget={"batch": 9, "oracle_calls": 9})
        assert campaign.state.stopped is not None
        assert campaign.state.stopped.state == "finished"
        rows = _best(tmp_path)
        confirmed = [row for row in rows if row["confirmed"]]
        assert rows[: len(confirmed)] == confirmed
        # The next one took its place.
        assert [row["second_opinion"]["agrees"] for row in confirmed] == [True, True, False]
        disputed = confirmed[-1]
        assert disputed["formula"] == leader
        opinion = disputed["second_opinion"]
        assert opinion["potential"] == SECOND
        assert opinion["ratio"] == pytest.approx(9.0)
        assert opinion["kappa"] == pytest.approx(9.0 * disputed["value"])
        assert opinion["std"] == pytest.approx(0.02 * opinion["kappa"])
        assert "factor of 9.00" in opinion["reason"]
        assert all(row["second_opinion"] is None for row in rows if not row["confirmed"])
        table = _command(tmp_path, "best", "asked")
        assert "second opinion" in table
        assert "disagrees" in table
        shown = _command(tmp_path, "show", disputed["candidate"])
        assert "second opinion: " in shown
        assert "disagrees: the values differ by a factor of 9.00" in shown
        assert f"evaluated with {SECOND}" in shown
        flat = list(csv.DictReader(io.StringIO(_command(tmp_path, "best", "asked", "--csv"))))
        found = [(row["second_potential"], row["second_agrees"]) for row in flat]
        assert found[:4] == [(SECOND, "True"), (SECOND, "True"), (SECOND, "False"), ("", "")]
        status = json.loads(_command(tmp_path, "status", "asked", "--json"))
        assert status["second_opinions"] == 3

    def test_without_a_value_it_disagrees_or_has_no_opinion(self, run: Run, tmp_path: Path) -> None:
        ordered = sorted(_formulas(), key=_kappa)
        everything = {"batch": 9, "oracle_calls": 9}
        ratio = {ordered[0]: "unstable", ordered[1]: "failed", ordered[2]: "failed"}
        campaign, _ = run(ratio=ratio, budget=everything)
        assert campaign.state.stopped is not None
        assert campaign.state.stopped.state == "finished"  # it does not depend on the second
        opinions = {r["formula"]: r["second_opinion"] for r in _best(tmp_path) if r["confirmed"]}
        assert list(opinions) == [ordered[1], ordered[2], ordered[0]]
        assert [o["agrees"] for o in opinions.values()] == [None, None, False]
        assert {o["kappa"] for o in opinions.values()} == {None}
        failed = opinions[ordered[1]]["reason"]
        assert failed.startswith("no opinion, failed at bte: no convergence")
        unstable = opinions[ordered[0]]["reason"]
        assert unstable.startswith(f"disagrees: unstable with {SECOND}")
        # What failed can be tried again.
        again, workers = run(retry=True)
        assert [formula for formula, _, _ in workers.asked] == ordered[1:3]
        assert all(label.opinion.agrees for label in again.state.labels.values()
                   if label.opinion and not label.is_disputed)  # fmt: skip

    def test_killed_between_confirmation_and_opinion_it_ends_the_same(self, run: Run) -> None:
        whole, workers = run()
        after = [name for _, name, _ in workers.asked].index(SECOND)
        killed = run("broken", after=after)[1]
        assert [name for _, name, _ in killed.asked[-2:]] == [FIRST, SECOND]
        again, rest = run("broken")
        assert _story(again) == _story(whole)
        assert len(killed.asked) - 1 + len(rest.asked) == len(workers.asked)

    def test_campaigns_of_a_home_share_them(self, run: Run) -> None:
        _, first = run()
        assert any(name == SECOND for _, name, _ in first.asked)
        again, workers = run(name="again")
        assert workers.asked == []
        assert all(t.reused for t in again.state.of_purpose("opinion"))

    def test_asked_for_later_it_looks_at_those_already_confirmed(self, run: Run) -> None:
        plain = {"leaders": 2, "max_calls": 6}
        campaign, workers = run(confirmation=plain)
        assert {name for _, name, _ in workers.asked} == {FIRST}
        later, more = run(overrides=(f"confirmation.second_opinion={SECOND}",))
        assert {(name, level) for _, name, level in more.asked} == {(SECOND, 0)}
        assert len(more.asked) == 2
        assert _ranked(later) == _ranked(campaign)


def _formulas() -> list[str]:
    return [a + b for a in ("Na", "K", "Rb") for b in ("Cl", "Br", "I")]


def _kappa(formula: str) -> float:
    """By the first potential, W/m/K."""
    return sum(map(ord, formula)) / 100


def _ranked(campaign: Campaign) -> list[str]:
    from orchestrator.campaign.ranking import ranking

    rows = ranking(campaign.state, campaign.objective)
    return [row.label.evaluation.material.formula for row in rows]


def _story(campaign: Campaign) -> list[Any]:
    """All that must not depend on interruptions."""
    state = campaign.state
    return [
        [
            (t.plan.digest, t.plan.method, t.plan.purpose, t.plan.potential, t.status)
            for t in state.trials.values()
        ],
        sorted(
            (name, label.evaluation.method, label.confirmed, label.opinion and label.opinion.ratio)
            for name, label in state.labels.items()
        ),
    ]


KAPPA = Objective()
NACL = Crystal.from_structure(
    Structure(5.64 / 2 * (np.ones((3, 3)) - np.eye(3)), ["Na", "Cl"], [[0.0] * 3, [0.5] * 3])
)


def _measured(value: float, relative: float | None, name: str, fidelity: str = "bte") -> Measured:
    std = None if relative is None else [relative * value]
    return Measured(
        material=NACL,
        fidelity=fidelity,
        method="m",
        cost_s=1.0,
        stage="bte",
        temperature=(300.0,),
        provenance={"settings": {"kind": "phonon-bte", "calculator": name}},
        properties={"kappa": Quantity(value=[value], std=std, unit="W/m/K", per_temperature=True)},
    )


def _judged(
    ratio: float,
    relative: tuple[float | None, float | None],
    names: tuple[str, str] = (FIRST, SECOND),
    family: str | None = None,
    fidelity: str = "bte",
) -> ev.SecondOpinion:
    first = _measured(2.0, relative[0], names[0], fidelity)
    second = _measured(2.0 * ratio, relative[1], names[1], fidelity)
    plan: Any = SimpleNamespace(id="t-0009", potential=names[1])
    label = Label("c-1", "t-0002", first, 1, 1, confirmed=True)
    return judge(label, second, KAPPA, ConfirmationSettings(default_error=0.3), plan, family)


class TestFullSolution:
    def test_confirmed_leaders_have_it_beside_the_value_that_ranks_them(
        self, run: Run, tmp_path: Path
    ) -> None:
        campaign, _ = run()
        confirmed = campaign.state.of_purpose("confirm")
        assert all(trial.plan.full_solution for trial in confirmed)
        others = [t for t in campaign.state.trials.values() if t not in confirmed]
        assert not any(trial.plan.full_solution for trial in others)
        # A fifth more is no reason to doubt a value, nor is it compared with other candidates'.
        assert {label.demotions for label in campaign.state.labels.values()} == {0}
        for row in _best(tmp_path):
            assert row["value"] == pytest.approx(_kappa(row["formula"]))
            expected = pytest.approx(1.2 * row["value"]) if row["confirmed"] else None
            assert row["kappa_lbte"] == expected
        assert "full solution" in _command(tmp_path, "best", "asked")

    def test_it_can_be_left_out(self, run: Run, tmp_path: Path) -> None:
        plain = {"leaders": 1, "max_calls": 6, "transport": "rta"}
        campaign, _ = run(confirmation=plain)
        assert not any(t.plan.full_solution for t in campaign.state.trials.values())
        assert {row["kappa_lbte"] for row in _best(tmp_path)} == {None}
        # The next leader is confirmed as it is wanted then.
        more = ("confirmation.transport=lbte", "confirmation.leaders=2")
        later, workers = run(overrides=more)
        assert [level for _, _, level in workers.asked] == [1]
        confirmed = later.state.of_purpose("confirm")
        assert [trial.plan.full_solution for trial in confirmed] == [False, True]
        assert {trial.status for trial in confirmed} == {"DONE"}

    def test_it_belongs_to_the_oracle_of_phonons(self) -> None:
        wanted = ConfirmationSettings()
        phonons = PhononBTE(PhononSettings(calculator=FIRST))
        assert confirming(phonons, wanted)[1]
        assert confirming(phonons, ConfirmationSettings(transport="rta")) == (phonons, False)
        for oracle in (
            PhononBTE(PhononSettings(calculator=FIRST), "harmonic"),
            PhononBTE(PhononSettings(calculator=FIRST, transport="lbte")),
            ReplayOracle({}, fidelity="table", property="kappa", table_sha256="x", column="kappa"),
        ):
            assert confirming(oracle, wanted) == (oracle, False)


class TestAgreement:
    @pytest.fixture(autouse=True)
    def _known(self, monkeypatch: pytest.MonkeyPatch) -> None:
        spreads = {"one": 0.1, "two": 0.24}
        tables = {
            name: MeasuredTable(
                overall=Deviations(18, 0, 1.0, s, math.exp(s), math.exp(s), 0.0),
                families={"rocksalt": Deviations(18, 0, 1.0, s, math.exp(s), math.exp(s), 0.0)},
                multiplier_90=1.7,
                coverage=None,
            )
            for name, s in spreads.items()
        }
        monkeypatch.setattr(accuracy, "MEASURED", tables)

    @settings(max_examples=40, deadline=None)
    @given(st.floats(0, 0.6), st.floats(0, 0.6), st.booleans())
    def test_is_within_the_errors_of_both(self, one: float, two: float, above: bool) -> None:
        """Potentials of which nothing is known have an error of 0.5 each."""
        limit = 1.645 * math.sqrt(one**2 + two**2 + 0.25 + 0.25)
        for factor, expected in ((0.99, True), (1.01, False)):
            ratio = math.exp(factor * limit if above else -factor * limit)
            opinion = _judged(ratio, (one, two))
            assert opinion.agrees is expected
            assert opinion.reason.startswith("agrees" if expected else "disagrees")
            assert opinion.ratio == pytest.approx(ratio)
            assert opinion.allowed == pytest.approx(math.exp(limit))

    @pytest.mark.parametrize("factor", [0.99, 1.01])
    def test_takes_the_measured_errors_of_the_family(self, factor: float) -> None:
        limit = 1.645 * math.sqrt(0.1**2 + 0.24**2 + 0.05**2)
        opinion = _judged(math.exp(factor * limit), (0.05, 0.0), ("one", "two"), "rocksalt")
        assert opinion.agrees is (factor < 1)
        recognised = _judged(math.exp(factor * limit), (0.05, 0.0), ("one", "two"))
        assert recognised == opinion

    def test_takes_a_default_where_no_error_is_stated(self) -> None:
        limit = 1.645 * math.sqrt(2 * 0.3**2 + 2 * UNKNOWN_ERROR**2)
        assert _judged(1.0, (None, None)).allowed == pytest.approx(math.exp(limit))
        # Of Slack's formula, the errors of potentials are not known either.
        slack = _judged(1.0, (None, None), ("one", "two"), "rocksalt", "harmonic")
        assert slack.allowed == pytest.approx(math.exp(limit))

    def test_says_so_where_it_says_little(self) -> None:
        assert "both were trained on MPtrj" in _judged(1.0, (0.0, 0.0), ("7net-0", "chgnet")).reason
        assert "says little" in _judged(1.0, (0.0, 0.0), ("7net-0", "chgnet")).reason
        assert "says little" not in _judged(1.0, (0.0, 0.0)).reason


class TestLikeness:
    def test_every_potential_has_an_origin(self) -> None:
        assert set(ORIGINS) == set(POTENTIALS)

    @pytest.mark.parametrize(
        ("first", "second", "why"),
        [
            ("7net-0", "7net-l3i5", "both have the architecture NequIP"),
            ("7net-0", "7net:/some/weights", "both have the architecture NequIP"),
            ("7net-0", "chgnet+d3", "both were trained on MPtrj"),
            ("orb-v3", "mace-mpa-0", "both were trained on Alexandria and MPtrj"),
            ("7net-0", "mace:/some/weights", "training data of mace:/some/weights are not known"),
            ("7net-0", "dpa4-neo-0704", "training data of dpa4-neo-0704 are not known"),
            (FIRST, "7net-0", f"nothing is known .* of {FIRST}"),
            ("7net-0", "matgl:/some/folder", "nothing is known .* of matgl:/some/folder"),
            ("7net-0", "dpa4-neo", None),
            ("mattersim-v1-5m", "orb-v3", None),
            ("tersoff", "stillinger-weber", None),
        ],
    )
    def test_is_found_in_both_orders(self, first: str, second: str, why: str | None) -> None:
        for pair in ((first, second), (second, first)):
            found = likeness(*pair)
            assert (found is None) if why is None else re.search(why, str(found))

    def test_it_is_among_the_notes_of_a_campaign(self) -> None:
        config = CONFIG | {
            "oracle": {"kind": "phonon-bte", "calculator": "7net-0"},
            "confirmation": {"second_opinion": "chgnet"},
        }
        checked = validate(config, "config.yaml")
        notes = campaign_notes(checked, prepared.prepare(checked).space)
        assert any("caution: both were trained on MPtrj" in note for note in notes)


class TestConfig:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"oracle": {"kind": "phonon-bte", "calculator": SECOND}}, "is also oracle.calculator"),
            ({"objective": {"property": "bulk_modulus"}}, "expected kappa"),
            (
                {
                    "space": {"kind": "pool", "path": "p.jsonl"},
                    "oracle": {"kind": "replay", "table": "t.jsonl", "column": "kappa"},
                },
                "oracle.kind: replay; expected oracle.kind: phonon-bte",
            ),
        ],
    )
    def test_what_cannot_be_asked_is_refused(self, changes: Any, message: str) -> None:
        with pytest.raises(ConfigError, match=message):
            validate(CONFIG | changes, "config.yaml")

    def test_no_code_is_taken_over_http(self) -> None:
        plain = CONFIG | {"oracle": {"kind": "phonon-bte", "calculator": "7net-0"}}
        with pytest.raises(ConfigError, match=r"confirmation\.second_opinion"):
            validate(plain, "request", remote=True)

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("chgnett", "unknown calculator 'chgnett'"),
            ("no_such_module:make", "no_such_module"),
            ("mace:/no/such/weights", "mace:/no/such/weights"),
        ],
    )
    def test_what_is_not_there_is_refused_before_anything_is_recorded(
        self, name: str, message: str
    ) -> None:
        config = validate(CONFIG | {"confirmation": {"second_opinion": name}}, "config.yaml")
        with pytest.raises(ConfigError, match=r"confirmation\.second_opinion: .*") as caught:
            prepared.prepare(config)
        assert message in str(caught.value)

    def test_the_same_weights_under_another_name_are_no_second_opinion(
        self, tmp_path: Path
    ) -> None:
        path = weights_path("7net-0")
        assert path is not None
        changes = {
            "oracle": {"kind": "phonon-bte", "calculator": "7net-0"},
            "confirmation": {"second_opinion": f"7net:{path}"},
        }
        config = validate(CONFIG | changes, "config.yaml")
        with pytest.raises(ConfigError, match="has the same weights as"):
            prepared.prepare(config)

    def test_a_broken_one_is_found_out_in_a_worker(self) -> None:
        Path("broken_potential.py").write_text("def make():\n    raise ValueError('no such file')")
        request = PreflightRequest(FIRST, (), (), "broken_potential:make")
        answer = oracle_calls.try_potentials(request, CallContext())
        assert answer.refusal is not None
        assert answer.refusal.key == "confirmation.second_opinion"
        assert "no such file" in answer.refusal.message


HEALING: dict[str, Any] = {
    "oracle": {"kind": "phonon-bte", "calculator": "7net-0"},
    "confirmation": {"leaders": 2, "max_calls": 6, "second_opinion": SECOND},
    "dft": {"engine": FIRST, "max_labels": 6, "per_round": 3},
    "budget": {"batch": 3, "oracle_calls": 6},
}


class TestHealing:
    def test_disputed_leaders_are_labelled_first_and_the_pair_judges(self, run: Run) -> None:
        budget = {"batch": 2, "oracle_calls": 8}  # the third hunt knows the first opinion
        campaign, workers = run(
            ratio=dict.fromkeys(_formulas(), 1e4), **HEALING | {"budget": budget}
        )
        state = campaign.state
        disputed = [k for k, label in state.labels.items() if label.is_disputed]
        assert disputed
        assert {hunt.committee for hunt in workers.hunts} == {(SECOND,)}
        digests = {campaign.store.candidate(k).material.digest for k in disputed}
        asked = [hunt for hunt in workers.hunts if hunt.first]
        assert asked
        for hunt in asked:
            assert set(hunt.first) <= digests
            assert hunt.materials[0].digest in digests

    def test_a_committee_that_is_named_stays(self, run: Run) -> None:
        _, workers = run(**HEALING | {"dft": HEALING["dft"] | {"committee": ["7net-l3i5"]}})
        assert {hunt.committee for hunt in workers.hunts} == {(SECOND, "7net-l3i5")}
