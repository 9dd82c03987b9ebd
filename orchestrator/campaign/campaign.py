"""A campaign: its events, and the state that follows from them. The only stateful object."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.contract.constraints import limits
from agents.contract.objective import Objective
from agents.contract.protocol import Candidate
from agents.contract.settings import ObjectiveSettings
from oracle.contract.evaluation import Failed, Measured, Outcome, Unstable
from oracle.potentials.dft_settings import Potential
from oracle.runtime.local_inputs import Known
from orchestrator.campaign import events as ev
from orchestrator.campaign.hints import resume_command
from orchestrator.campaign.state import CampaignState, Trial, apply
from orchestrator.config.config import REFUSED, STEERED, CampaignConfig, input_paths
from orchestrator.config.errors import ConfigError
from orchestrator.config.loading import differences, input_digests, set_key, validate
from orchestrator.config.oracle_settings import AnyOracleSettings
from orchestrator.store.rows import NewForceLabel
from orchestrator.store.store import NewEvent, Store


class Campaign:
    """One campaign, open for reading, or for writing when it holds a lease.

    Args:
        store: the home's database.
        name: of an existing campaign.
        token: of the lease, or None for reading only.
    """

    def __init__(self, store: Store, name: str, token: str | None = None) -> None:
        self.store = store
        self.name = name
        self.token = token
        self.state = CampaignState()
        self._outcomes: dict[tuple[str, str], Outcome] = {}
        self._validated: tuple[dict[str, Any], CampaignConfig] | None = None
        """The recorded settings that were validated last, and what they are."""
        self.refresh()

    @classmethod
    def create(
        cls,
        store: Store,
        config: CampaignConfig,
        *,
        methods: dict[str, str],
        notes: Sequence[str] = (),
    ) -> None:
        """Record a new campaign.

        Raises:
            CampaignExists: the name is taken.
        """
        resolved = config.model_dump(mode="json")
        created = ev.Created(
            config=resolved,
            inputs=input_digests(config),
            methods=methods,
            notes=tuple(notes),
        )
        store.create_campaign(config.name, resolved, [_stored(created)])

    def refresh(self) -> None:
        """Read the events that were recorded since the last refresh, and apply them."""
        events = self.store.events(self.name, after=self.state.seq)
        parsed = [
            (row, ev.EVENT.validate_python({**row.payload, "kind": row.kind})) for row in events
        ]
        planned = {
            trial.id: (trial.digest, trial.method)
            for _, event in parsed
            if isinstance(event, ev.RoundPlanned)
            for trial in event.trials
        }
        planned |= {t.plan.id: (t.plan.digest, t.plan.method) for t in self.state.trials.values()}
        done = [planned[e.trial] for _, e in parsed if isinstance(e, ev.TrialDone)]
        missing = [key for key in done if key not in self._outcomes]
        self._outcomes |= self.store.evaluations_of(missing)
        for row, event in parsed:
            apply(self.state, event, seq=row.seq, time=row.time, outcomes=self._outcomes)

    def record(
        self,
        *events: ev.Event,
        evaluations: Sequence[Measured | Unstable | Failed] = (),
        candidates: Iterable[Candidate] = (),
        labels: Sequence[NewForceLabel] = (),
        forget: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Append events with what they refer to in one transaction, then apply them.

        Stored failures of the evaluations named in `forget` are removed in the same transaction.

        Raises:
            LeaseLost: another process took the campaign over.
        """
        rows = self.store.append(
            self.name,
            [_stored(event) for event in events],
            evaluations=list(evaluations),
            candidates=list(candidates),
            labels=labels,
            forget=forget,
            token=self.token,
        )
        for key in forget:
            self._outcomes.pop(key, None)
        for evaluation in evaluations:
            if isinstance(self._outcomes.get(evaluation.key, evaluation), Failed):
                self._outcomes[evaluation.key] = evaluation
            self._outcomes.setdefault(evaluation.key, evaluation)
        for row, event in zip(rows, events, strict=True):
            apply(self.state, event, seq=row.seq, time=row.time, outcomes=self._outcomes)

    def stored_outcome(self, digest: str, method: str) -> Outcome | None:
        """The stored outcome for a material and a method, from any campaign of the home."""
        outcome = self._outcomes.get((digest, method))
        if outcome is None:
            outcome = self.store.evaluation(digest, method)
            if outcome is not None:
                self._outcomes[digest, method] = outcome
        return outcome

    @property
    def config(self) -> CampaignConfig:
        """The settings in force, after all steering."""
        recorded = self.state.config
        if self._validated is None or self._validated[0] is not recorded:
            config = validate(recorded, f"campaign {self.name}", recorded=True)
            self._validated = recorded, config
        return self._validated[1]

    @property
    def launched(self) -> CampaignConfig:
        """The settings with which it was launched."""
        recorded = json.loads(self.store.campaign(self.name).config)
        return validate(recorded, f"campaign {self.name}", recorded=True)

    @property
    def potential(self) -> Potential | None:
        """The potential in use, as for `oracle.calculator`: the config's, or the healed one.

        None where the oracle uses no potential.
        """
        healed = self.state.weights
        if healed is None:
            return self.config.oracle.calculator
        assert healed.weights is not None  # accepted weights have a file
        return f"{healed.family}:{(self.store.home / healed.weights).absolute()}"

    @property
    def oracle(self) -> AnyOracleSettings:
        """The oracle's settings in force: those of the config, with the potential in use."""
        return self.oracle_of(self.config)

    def oracle_of(self, config: CampaignConfig) -> AnyOracleSettings:
        """The oracle's settings of another config, with the potential in use."""
        if self.state.weights is None:
            return config.oracle
        return config.oracle.model_copy(update={"calculator": self.potential})

    @property
    def objective(self) -> Objective:
        """The objective in force, with those that are sought at the same time."""
        config = self.config
        excluded = limits(config.constraints or ())
        # The limits are those at the temperature of the first objective.
        further = tuple(_objective(settings, ()) for settings in config.further_objectives)
        return replace(_objective(config.objective, excluded), further=further)

    def steer(self, overrides: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """Apply ``key.path=value`` changes and record them; returns (before, after) by full key.

        New paths of inputs that were moved are relative to the working folder.

        Raises:
            ConfigError: a value is not allowed, the key is one whose change would make results
                incomparable, or the content of an input has changed.
        """
        before, config = self.config, self.steered(overrides)
        changes = _changes(before, config)
        if changes:
            self.record(ev.Steered(changes=changes, config=config.model_dump(mode="json")))
        return changes

    def forget_failures(self, trials: Sequence[Trial]) -> None:
        """Have failed trials tried again; their stored failures are removed."""
        if trials:
            names = tuple(trial.plan.id for trial in trials)
            keys = [(trial.plan.digest, trial.plan.method) for trial in trials]
            self.record(ev.FailuresForgotten(trials=names), forget=keys)

    def steered(self, overrides: Sequence[str], *, remote: bool = False) -> CampaignConfig:
        """The settings that ``key.path=value`` changes would give; nothing is recorded.

        Args:
            overrides: the changes; relative paths start from the working folder.
            remote: whether they came over HTTP, where neither relative paths nor import paths are
                accepted.

        Raises:
            ConfigError: as for `steer`.
        """
        before = self.config
        raw = before.model_dump(mode="json")
        for override in overrides:
            set_key(raw, override)
        base, accepted = (None, Known.of(before)) if remote else (Path.cwd(), Known())
        config = validate(raw, "--set", base, recorded=True, remote=remote, known=accepted)
        changes = _changes(before, config)
        self._check_changes(changes)
        together = ("constraints", "agents") if config.further_objectives else ("constraints",)
        if any(key.startswith(together) for key in changes):
            validate(config.model_dump(mode="json"), "--set")
        self._check_inputs(config, moved=changes.keys() & self.state.inputs.keys())
        return config

    def _check_inputs(self, config: CampaignConfig, moved: Collection[str]) -> None:
        """Check that the campaign's input files have the content that it was launched with.

        Args:
            config: names the files.
            moved: keys for which another path was given.

        Raises:
            ConfigError: a pool or table has changed or is missing; the message names its key.
        """
        paths = dict(input_paths(config))
        missing = [key for key, path in paths.items() if not path.exists()]
        if missing:
            raise ConfigError(self._missing(missing, paths, moved))
        try:
            now = input_digests(config, self.state.inputs)
        except OSError as error:
            raise ConfigError(f"campaign {self.name}: {error.filename} cannot be read") from error
        changed = [key for key, digest in self.state.inputs.items() if now.get(key) != digest]
        if not changed:
            return
        named = ", ".join(f"{key} ({paths[key]})" if key in paths else key for key in changed)
        remedy = "restore it" if not set(changed) & set(moved) else "name the same content"
        raise ConfigError(
            f"campaign {self.name}: the content of {named} is not what it was launched with; "
            f"{remedy}, or launch a new campaign"
        )

    def _missing(
        self, keys: Sequence[str], paths: Mapping[str, Path], moved: Collection[str]
    ) -> str:
        for key in keys:
            if key in moved:
                return f"campaign {self.name}: --set {key}: {paths[key]} does not exist"
        named = ", ".join(f"{key} ({paths[key]})" for key in keys)
        places = [f"{key}=PATH" for key in keys]
        return (
            f"campaign {self.name}: {named} is missing; restore it, or say where the same content "
            f"is now: {resume_command(self.store.home, self.name, places)}"
        )

    def _check_changes(self, changes: dict[str, tuple[Any, Any]]) -> None:
        """Refuse changes that would make results incomparable; new paths are checked elsewhere."""
        refused = [
            key
            for key in changes
            if key.partition(".")[0] in REFUSED and key not in self.state.inputs
        ]
        if refused:
            was = ", ".join(f"{key} (is {changes[key][0]!r})" for key in refused)
            raise ConfigError(
                f"campaign {self.name}: {was} cannot change on resume, because results would not "
                f"compare; allowed: {', '.join(STEERED)}, executor, tracking; "
                "for other science launch a new campaign"
            )
        if "name" in changes:
            raise ConfigError(f"campaign {self.name}: its name cannot change")


def _objective(settings: ObjectiveSettings, excluded: tuple[tuple[str, float], ...]) -> Objective:
    return Objective(
        property=settings.property,
        temperature=settings.temperature,
        goal=settings.goal,
        target=settings.target,
        log=settings.in_log,
        limits=excluded,
        direction=settings.direction,
    )


def _changes(before: CampaignConfig, after: CampaignConfig) -> dict[str, tuple[Any, Any]]:
    """(before, after) of each setting that differs, by full key.

    Settings that a later version added have their defaults in both.
    """
    return differences(before.model_dump(mode="json"), after.model_dump(mode="json"))


def _stored(event: ev.Event) -> NewEvent:
    return NewEvent(
        kind=event.kind,
        payload=event.model_dump(mode="json", exclude={"kind"}),
        schema=event.schema_version,
    )
