"""A campaign: its events, and the state they add up to. The only stateful object."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from agents.constraints import limits
from agents.objective import Objective
from agents.protocol import Candidate
from oracle.evaluation import Failed, Measured, Unstable
from orchestrator import events as ev
from orchestrator.config import (
    REFUSED,
    STEERED,
    CampaignConfig,
    ConfigError,
    differences,
    input_digests,
    set_key,
    validate,
)
from orchestrator.state import CampaignState, Outcome, Trial, apply
from orchestrator.store import NewEvent, Store


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
        """Fold what was recorded since the last look."""
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
        *events: Any,
        evaluations: Sequence[Measured | Unstable | Failed] = (),
        candidates: Iterable[Candidate] = (),
        labels: Sequence[dict[str, Any]] = (),
        forget: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Append events with what they refer to in one transaction, then fold them.

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

    def known(self, digest: str, method: str) -> Outcome | None:
        """The stored answer for a material and a method, of whichever campaign."""
        found = self._outcomes.get((digest, method))
        if found is None:
            found = self.store.evaluation(digest, method)
            if found is not None:
                self._outcomes[digest, method] = found
        return found

    @property
    def config(self) -> CampaignConfig:
        """The settings in force, after all steering."""
        return validate(self.state.config, f"campaign {self.name}")

    @property
    def potential(self) -> Any:
        """The potential in use, as for `oracle.calculator`: the config's, or the healed one."""
        healed = self.state.weights
        if healed is None:
            return getattr(self.config.oracle, "calculator", None)
        assert healed.weights is not None  # accepted ones have a file
        return f"{healed.family}:{(self.store.home / healed.weights).absolute()}"

    @property
    def oracle(self) -> Any:
        """The oracle's settings in force: the config's with the potential in use."""
        settings = self.config.oracle
        if self.state.weights is None:
            return settings
        return settings.model_copy(update={"calculator": self.potential})

    @property
    def objective(self) -> Objective:
        """What is sought."""
        settings = self.config.objective
        return Objective(
            property=settings.property,
            temperature=settings.temperature,
            goal=settings.goal,
            target=settings.target,
            log=settings.in_log,
            limits=limits(self.config.constraints or ()),
        )

    def steer(self, overrides: Sequence[str]) -> dict[str, tuple[Any, Any]]:
        """Apply ``key.path=value`` changes as an event; returns what changed.

        Raises:
            ConfigError: a value is not allowed, or the key is one that makes the science.
        """
        before, config = self.config, self.proposed(overrides)
        changes = _changes(before, config)
        if changes:
            self.record(ev.Steered(changes=changes, config=config.model_dump(mode="json")))
        return changes

    def forget_failures(self, trials: Sequence[Trial]) -> None:
        """Have failed trials tried again; what is stored of their failures goes as well."""
        if trials:
            names = tuple(trial.plan.id for trial in trials)
            keys = [(trial.plan.digest, trial.plan.method) for trial in trials]
            self.record(ev.FailuresForgotten(trials=names), forget=keys)

    def proposed(self, overrides: Sequence[str]) -> CampaignConfig:
        """The settings that ``key.path=value`` changes would give; nothing is recorded.

        Raises:
            ConfigError: a value is not allowed, or the key is one that makes the science.
        """
        raw = self.config.model_dump(mode="json")
        for override in overrides:
            set_key(raw, override)
        config = validate(raw, "--set")
        self._check_changes(_changes(self.config, config))
        return config

    def check_inputs(self) -> None:
        """Compare the files that pin the science with what the campaign began with.

        Raises:
            ConfigError: the content of a pool or table changed, with the keys.
        """
        try:
            now = input_digests(self.config, self.state.inputs)
        except OSError as error:
            raise ConfigError(f"campaign {self.name}: {error.filename} cannot be read") from error
        changed = [key for key, digest in self.state.inputs.items() if now.get(key) != digest]
        if changed:
            raise ConfigError(
                f"campaign {self.name}: the content of {', '.join(changed)} changed since it was "
                "launched; restore it, or launch a new campaign"
            )

    def _check_changes(self, changes: dict[str, tuple[Any, Any]]) -> None:
        refused = [key for key in changes if key.partition(".")[0] in REFUSED]
        if refused:
            was = ", ".join(f"{key} (is {changes[key][0]!r})" for key in refused)
            raise ConfigError(
                f"campaign {self.name}: {was} cannot change on resume, because results would not "
                f"compare; allowed: {', '.join(STEERED)}, executor, tracking; "
                "for other science launch a new campaign"
            )
        if "name" in changes:
            raise ConfigError(f"campaign {self.name}: its name cannot change")


def _changes(before: CampaignConfig, after: CampaignConfig) -> dict[str, tuple[Any, Any]]:
    """Full keys at which two settings differ; what a later version added is in both."""
    return differences(before.model_dump(mode="json"), after.model_dump(mode="json"))


def _stored(event: Any) -> NewEvent:
    return NewEvent(
        kind=event.kind,
        payload=event.model_dump(mode="json", exclude={"kind"}),
        schema=event.schema_version,
    )
