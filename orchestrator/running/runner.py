"""Assembles the parts of a campaign and runs it in this process, as its only writer."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import replace

from rich.console import Console

from oracle.contract.own_oracle import OwnOracleSettings
from oracle.potentials.dft_settings import Potential
from oracle.potentials.table import FAMILIES
from orchestrator.assembly.build import build_executor
from orchestrator.assembly.environment import library_versions
from orchestrator.assembly.notes import campaign_notes
from orchestrator.assembly.prepared import Prepared, prepare
from orchestrator.campaign import events as ev
from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.state import Trial
from orchestrator.config.config import CampaignConfig
from orchestrator.config.errors import ConfigError
from orchestrator.executors.protocol import Executor
from orchestrator.executors.ray_address import check_address
from orchestrator.executors.watched import WatchedExecutor
from orchestrator.healing.healer import Healer
from orchestrator.presentation.rendering import say
from orchestrator.rounds.planning import Planner
from orchestrator.running.interrupts import Interrupts, signals_interrupt
from orchestrator.running.loop import Loop
from orchestrator.running.preflight import check_potentials
from orchestrator.running.taken import name_taken
from orchestrator.running.trial_call import call_for
from orchestrator.store.lease import Lease
from orchestrator.store.store import CampaignExists, Store
from orchestrator.tracking.mirror import Mirror
from orchestrator.tracking.progress import ProgressView

_SUSPICIOUS = 2  # sudden ends of a campaign during the same trial


def start_executor(prepared: Prepared, potential: Potential | None = None) -> Executor:
    """Start an executor and check that the campaign's potentials work in it; writes nothing.

    Args:
        prepared: the campaign.
        potential: used instead of the config's, after healing.

    Raises:
        ConfigError: a potential cannot be loaded, or does not work.
    """
    config = prepared.config
    executor = build_executor(config.executor)
    executor.start()
    try:
        check_potentials(executor, config, prepared.space, potential or config.oracle.calculator)
    except BaseException:
        executor.shutdown()
        raise
    return executor


def refuse_taken(store: Store, config: CampaignConfig) -> None:
    """Check that the name of a new campaign is free.

    Raises:
        CampaignExists: it is not; the message says how the settings of that campaign differ.
    """
    if store.is_taken(config.name):
        raise CampaignExists(name_taken(store, config))


def create(store: Store, prepared: Prepared) -> None:
    """Record a new campaign.

    Raises:
        CampaignExists: the name is taken; the message says how that campaign's settings differ.
    """
    notes = [*campaign_notes(prepared.config, prepared.space), *prepared.notes]
    try:
        Campaign.create(store, prepared.config, methods=prepared.methods, notes=notes)
    except CampaignExists as error:
        raise CampaignExists(name_taken(store, prepared.config)) from error


def run_campaign(
    store: Store,
    name: str,
    *,
    overrides: Sequence[str] = (),
    prepared: Prepared | None = None,
    executor: Executor | None = None,
    retry_failed: bool = False,
    console: Console,
) -> ev.Stopped:
    """Run a recorded campaign until it ends.

    Args:
        store: the home's database.
        name: the campaign.
        overrides: ``key.path=value`` changes, recorded before anything runs.
        prepared: its parts, where the caller has built them already.
        executor: from `start_executor`; it is shut down in the end.
        retry_failed: whether all failed trials are tried again. Otherwise only transient failures
            are, and only in a campaign that stopped because too many calls failed.
        console: where progress is shown (stderr).

    Raises:
        ConfigError: a change is refused, or an input or method has changed.
        CampaignRunning: another process runs it.
        KeyboardInterrupt: the user or a signal interrupted; this is recorded first.
    """
    store.campaign(name)  # reports an unknown name before a lease is acquired
    with Lease.acquire(store, name) as lease:
        campaign = Campaign(store, name, token=lease.token)
        config = campaign.steered(overrides)
        check_address(config.executor)
        if prepared is None or overrides:
            oracle = campaign.oracle_of(config)
            healed = prepare(
                config.model_copy(update={"oracle": oracle}),
                recorded=True,
                cache=store.home / "cache" / "pools",
            )
            prepared = replace(healed, config=config)  # the config itself has no healed weights
        _check_methods(campaign, prepared)
        executor = executor or start_executor(prepared, campaign.potential)
        campaign.steer(overrides)  # changes are recorded only once they are known to work
        store.clear_stop(name)
        _warn_of_new_libraries(campaign, console)
        failed = _trials_to_repeat(campaign, everything=retry_failed)
        campaign.record(
            ev.Opened(host=socket.gethostname(), pid=os.getpid(), environment=library_versions())
        )
        campaign.forget_failures(failed)
        _warn_of_trials_left(campaign, console)
        with signals_interrupt() as interrupts:
            return _work(store, campaign, prepared, executor, console, interrupts)


def _warn_of_trials_left(campaign: Campaign, console: Console) -> None:
    """Name a trial that was running at each of several sudden ends of a serial campaign.

    A calculator that ends its process, by ``os._exit`` or a crash, ends the campaign with it.
    """
    if campaign.config.executor.kind != "serial":
        return  # other workers have processes of their own, whose end is reported
    trials = campaign.state.trials.values()
    suspicious = [t for t in trials if t.left >= _SUSPICIOUS and not t.is_finished]
    if suspicious:
        formulas = campaign.store.formulas([trial.plan.candidate for trial in suspicious])
        for trial in suspicious:
            say(
                console,
                f"warning: {trial.plan.id} ({formulas[trial.plan.candidate]}) was running each "
                f"of the {trial.left} times that this campaign ended without a message; if its "
                "calculator ends the process, resume with --set executor.kind=ray, which reports "
                "it and goes on",
                style="yellow",
            )


def _trials_to_repeat(campaign: Campaign, *, everything: bool) -> list[Trial]:
    stopped = campaign.state.stopped
    if everything:
        return campaign.state.failed()
    if stopped is not None and stopped.state == "failed":
        return campaign.state.failed(transient=True)
    return []


def _work(
    store: Store,
    campaign: Campaign,
    prepared: Prepared,
    executor: Executor,
    console: Console,
    interrupts: Interrupts,
) -> ev.Stopped:
    config = campaign.config
    for note in campaign.state.notes:
        say(console, note, style="dim")
    mirror = Mirror(store, campaign, config.tracking)
    view = ProgressView(console, campaign, lambda: watched.known_slots)
    watched = WatchedExecutor(executor, view.on_share, lambda: view.say("starting the workers"))
    watched.watch(view.on_stages)
    mirror.start()
    problems: list[str] = []
    try:
        with view:
            try:
                return _run_loop(store, campaign, prepared, watched, mirror, view, interrupts)
            except KeyboardInterrupt:
                campaign.record(ev.Stopped(state="interrupted", reason="interrupted"))
                raise
            except ConfigError as error:  # the executor lacks what the config asks for
                campaign.record(ev.Stopped(state="failed", reason=str(error)))
                raise
            finally:
                view.say("recording")
                executor.shutdown()
                problems = mirror.finish()
    finally:
        for problem in problems:
            console.print(
                f"tracking: {problem}",
                style="yellow",
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def _run_loop(
    store: Store,
    campaign: Campaign,
    prepared: Prepared,
    executor: WatchedExecutor,
    mirror: Mirror,
    view: ProgressView,
    interrupts: Interrupts,
) -> ev.Stopped:
    planner = Planner(
        config=campaign.config,
        space=prepared.space,
        oracles=prepared.oracles,
        executor=executor,
        cache=store.home / "cache",
        on_stage=view.say,
    )
    mirror.weights_of = planner.save_surrogate
    loop = Loop(
        campaign,
        planner,
        executor,
        call_for=lambda trial: call_for(trial, campaign, prepared.oracles),
        healer=Healer(campaign, prepared.space, executor, view.say),
        observers=(view, mirror),
        interrupted=lambda: interrupts.seen,
    )
    return loop.run()


def _check_methods(campaign: Campaign, prepared: Prepared) -> None:
    """Refuse to mix evaluations of two methods in one campaign."""
    before, now = campaign.state.methods, prepared.methods
    changed = [name for name in before if now.get(name) != before[name]]
    if changed:
        raise ConfigError(
            f"campaign {campaign.name}: the method of {', '.join(changed)} is not the one it was "
            f"launched with ({_what_changes(prepared.config)}); restore it, or launch a new "
            "campaign"
        )


def _what_changes(config: CampaignConfig) -> str:
    if isinstance(config.oracle, OwnOracleSettings):
        return f"the source of {config.oracle.kind} was edited, or what it states as its method"
    potential = config.oracle.calculator
    if isinstance(potential, str) and ":" in potential and potential.split(":")[0] not in FAMILIES:
        return (
            f"the source of {potential} was edited, or earlier versions of phonoscout did not "
            "check it, or this is another version of the physics"
        )
    return "the potential has other weights, or this is another version of the physics"


def _warn_of_new_libraries(campaign: Campaign, console: Console) -> None:
    before = campaign.state.environment
    now = library_versions()
    changed = [f"{k} {before[k]} → {now[k]}" for k in before if k in now and now[k] != before[k]]
    if changed:
        say(
            console,
            f"warning: libraries changed since the last run: {', '.join(changed)}; numbers may "
            "differ slightly",
            style="yellow",
        )
