"""Shows a campaign in MLflow as one run, with a child run per round."""

from __future__ import annotations

import json
import logging
import math
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from oracle.runtime.errors import one_line
from orchestrator.tracking.mlflow_store import (
    experiment_named,
    experiment_of,
    follow_home,
    store_uri,
    write_ahead,
)

_EXPERIMENT = "phonoscout"
_CAMPAIGN, _HOME, _ROUND = "phonoscout.campaign", "phonoscout.home", "phonoscout.round"
_REASON, _STEERED = "phonoscout.stop_reason", "phonoscout.steered."
_REVISION, _LATER = "phonoscout.trials", "phonoscout.later."
_PARENT = "mlflow.parentRunId"
_DIGEST, _POTENTIAL = "phonoscout.sha256", "potential"
_LONGEST_VALUE = 6000  # characters that MLflow accepts in the value of a parameter
_BATCH = 100  # parameters and tags that it accepts in one request
_OTHER = re.compile(r"[^\w. -]")  # characters that it refuses in names, and slashes
_SECRET = re.compile(r"//[^@/]*@")
_STATUS = {"finished": "FINISHED", "failed": "FAILED"}
_QUIET = {
    # No usage reports, and no retries for minutes while a server is down.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "15",
}


class Tracker:
    """The MLflow runs of one campaign; a resumed campaign continues with the same runs.

    Errors of MLflow are not raised: methods return the problem in one line, or None. The first use
    of a new home takes seconds, in which MLflow creates its tables.

    Args:
        uri: URI of an MLflow server, or None for a store in `home`.
        home: folder that holds the campaigns.
        campaign: name of the campaign.
        parent_run: MLflow's id of the campaign's run, if it is known.
        rest_s: how long MLflow is not used after a failure, seconds.
    """

    def __init__(
        self,
        uri: str | None,
        home: Path,
        campaign: str,
        parent_run: str | None = None,
        rest_s: float = 30.0,
    ) -> None:
        self._folder = home.absolute() / "mlflow"
        self._own = uri is None
        self._uri = uri or store_uri(self._folder / "mlflow.db")
        self._home = str(home.absolute())
        self._campaign = campaign
        self._rest_s = rest_s
        self._client: Any = None
        self._experiment = ""
        self._shown: Mapping[str, Any] | None = None
        self._resting_until = 0.0
        self.parent_run = parent_run
        """MLflow's id of the campaign's run; None before it was created."""
        self.problem: str | None = None
        """The last problem, or None."""
        self._guard(lambda: None)

    def log_round(
        self,
        number: int,
        *,
        params: Mapping[str, Any],
        metrics: Mapping[str, float],
        artefacts: Sequence[Path],
        config: Mapping[str, Any],
        revision: int = 0,
    ) -> str | None:
        """Write one round, unless MLflow already has this revision of it.

        A round that was reopened for confirmations gets its files and latest metrics again.

        Args:
            number: number of the round.
            params: parameters of its run.
            metrics: metrics of the round, also drawn as curves over rounds; values that are not
                finite are left out.
            artefacts: files that are copied.
            config: config of the campaign, which becomes the parameters of its run.
            revision: increases whenever the round is reopened.
        """

        def write() -> None:
            self._show_config(config)
            run = self._round_run(number)
            name, shown = run.info.run_id, int(run.data.tags.get(_REVISION, 0))
            if run.info.status == "FINISHED" and shown == revision:
                return
            for path in artefacts:
                self._client.log_artifact(name, str(path))
            # A repetition writes points with the same time, which MLflow stores only once; of two
            # revisions, the later has the later time, so that MLflow shows its values.
            now = run.info.start_time + revision
            finite = _finite(metrics)
            new, later = _parted(run.data.params, _flat(params), _LATER)
            self._log(name, finite, now, number, new, later)
            self._log(self.parent_run, finite, now, number)
            self._client.set_tag(name, _REVISION, str(revision))
            self._client.set_terminated(name, "FINISHED")

        return self._guard(write)

    def register(self, weights: Path, digest: str, tags: Mapping[str, str]) -> str | None:
        """Register accepted weights of the potential as a version in the model registry, once.

        Args:
            weights: file of the weights, which is copied.
            digest: SHA-256 of the file; weights that are already registered are left unchanged.
            tags: tags of the version.
        """

        def write() -> None:
            name = f"{_EXPERIMENT}-{self._campaign}-potential"
            if not self._client.search_registered_models(f"name = '{name}'"):
                self._client.create_registered_model(name, tags={_HOME: self._home})
            versions = self._client.search_model_versions(f"name = '{name}'")
            if any(version.tags.get(_DIGEST) == digest for version in versions):
                return
            self._client.log_artifact(self.parent_run, str(weights), _POTENTIAL)
            folder = self._client.get_run(self.parent_run).info.artifact_uri
            self._client.create_model_version(
                name,
                source=f"{folder}/{_POTENTIAL}",
                run_id=self.parent_run,
                tags={_DIGEST: digest, **tags},
            )

        return self._guard(write)

    def close(
        self,
        reason: str,
        state: str = "finished",
        *,
        metrics: Mapping[str, float] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> str | None:
        """Mark the campaign's run as ended.

        Args:
            reason: why the campaign stopped.
            state: ``finished`` or ``failed``; a campaign in any other state can be resumed.
            metrics: present values, for instance of the best; only changed ones are written.
            tags: further tags of the run.
            step: number of the last round.
        """

        def write() -> None:
            shown = self._client.get_run(self.parent_run).data.metrics
            new = {k: v for k, v in _finite(metrics or {}).items() if shown.get(k) != v}
            marks = {_REASON: reason, **(tags or {})}
            self._log(self.parent_run, new, round(time.time() * 1000), step, {}, marks)
            self._client.set_terminated(self.parent_run, _STATUS.get(state, "KILLED"))

        return self._guard(write)

    def _guard(self, work: Callable[[], None]) -> str | None:
        """Connect to MLflow if necessary and do some work; returns the problem, if any."""
        if time.monotonic() < self._resting_until:
            return self.problem
        try:
            if self._client is None:
                self._connect()
            work()
        except Exception as error:  # no failure of MLflow or its server may stop a campaign
            self._resting_until = time.monotonic() + self._rest_s
            self.problem = _SECRET.sub("//", f"MLflow at {self._uri}: {one_line(error)}")
        else:
            self.problem = None
        return self.problem

    def _connect(self) -> None:
        """Open the store; creates it and the campaign's run if they are missing."""
        for name, value in _QUIET.items():
            os.environ.setdefault(name, value)
        from mlflow.tracking import MlflowClient

        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        location = None
        if self._own:
            artefacts = self._folder / "artifacts"
            artefacts.mkdir(parents=True, exist_ok=True)
            location = artefacts.as_uri()
            write_ahead(self._folder / "mlflow.db")
            follow_home(self._folder / "mlflow.db", location)
        client = MlflowClient(tracking_uri=self._uri, registry_uri=self._uri)
        self._experiment = experiment_of(client, self.parent_run) or experiment_named(
            client, _EXPERIMENT, location
        )
        self._client = client
        try:
            self.parent_run = self._campaign_run()
        except Exception:
            self._client = None
            raise

    def _campaign_run(self) -> str:
        """The campaign's run: the recorded one, one that a crash left unrecorded, or a new one."""
        runs = {run.info.run_id: run for run in self._search({_CAMPAIGN: self._campaign})}
        # In the home's own store all runs are ours, also those written before the home was moved.
        ours = [n for n, r in runs.items() if self._own or r.data.tags.get(_HOME) == self._home]
        recorded = self.parent_run if self.parent_run in runs else None
        run_id = recorded or (ours[0] if ours else None)
        if run_id is None:
            tags = {_CAMPAIGN: self._campaign, _HOME: self._home}
            created = self._client.create_run(self._experiment, tags=tags, run_name=self._campaign)
            return str(created.info.run_id)
        if runs[run_id].data.tags.get(_HOME) != self._home:
            self._client.set_tag(run_id, _HOME, self._home)
        if runs[run_id].info.status != "RUNNING":
            self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _round_run(self, number: int) -> Any:
        """The run of a round, created if it is missing."""
        runs = self._search({_PARENT: str(self.parent_run), _ROUND: str(number)})
        if runs:
            return runs[0]
        tags = {_PARENT: self.parent_run, _ROUND: str(number)}
        return self._client.create_run(self._experiment, tags=tags, run_name=f"round-{number:04d}")

    def _search(self, tags: Mapping[str, str]) -> list[Any]:
        """Runs with these tags, oldest first."""
        wanted = " and ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
        return list(
            self._client.search_runs(
                [self._experiment], wanted, order_by=["attributes.start_time ASC"]
            )
        )

    def _show_config(self, config: Mapping[str, Any]) -> None:
        """Write the config as parameters of the run, and later changes as tags.

        MLflow does not allow parameters to change.
        """
        if config == self._shown:
            return
        shown = self._client.get_run(self.parent_run).data.params
        new, steered = _parted(shown, _flat(config), _STEERED)
        self._log(self.parent_run, {}, 0, 0, new, steered)
        self._shown = dict(config)

    def _log(
        self,
        run: Any,
        metrics: Mapping[str, float],
        now: int,
        step: int,
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        """Write to a run in few large requests; `now` in milliseconds since the epoch."""
        from mlflow.entities import Metric, Param, RunTag

        points = [Metric(k, v, now, step) for k, v in metrics.items()]
        named = [Param(k, v) for k, v in (params or {}).items()]
        marks = [RunTag(k, v) for k, v in (tags or {}).items()]
        for i in range(0, max(len(points), len(named), len(marks)), _BATCH):
            part = slice(i, i + _BATCH)
            self._client.log_batch(run, points[part], named[part], marks[part])


def _parted(
    shown: Mapping[str, str], wanted: Mapping[str, str], prefix: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Parameters to be added, and tags for changed ones, since MLflow lets no parameter change."""
    new = {k: v for k, v in wanted.items() if k not in shown}
    return new, {prefix + k: v for k, v in wanted.items() if shown.get(k, v) != v}


def _finite(metrics: Mapping[str, float]) -> dict[str, float]:
    return {_OTHER.sub("_", k): float(v) for k, v in metrics.items() if math.isfinite(v)}


def _flat(tree: Mapping[str, Any]) -> dict[str, str]:
    """Nested settings as dotted names and short texts; a list of plain values becomes one text."""
    pairs = {_OTHER.sub("_", name): value for name, value in _leaves(tree, "")}
    return {
        name: (value if isinstance(value, str) else json.dumps(value, default=str))[:_LONGEST_VALUE]
        for name, value in pairs.items()
    }


def _leaves(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        children: Any = value.items()
    elif isinstance(value, list | tuple) and any(isinstance(v, Mapping) for v in value):
        children = enumerate(value)
    else:
        yield name, value
        return
    for key, child in children:
        yield from _leaves(child, f"{name}.{key}" if name else str(key))
