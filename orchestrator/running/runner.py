"""Brings a campaign's parts together and runs it in this process, as its only writer."""

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
from orchestrator.running.preflight import try_named
from orchestrator.running.taken import name_taken
from orchestrator.running.trial_call import call_for
from orchestrator.store.lease import Lease
from orchestrator.store.store import CampaignExists, Store
from orchestrator.tracking.mirror import Mirror
from orchestrator.tracking.progress import ProgressView


def tried(prepared: Prepared, potential: Potential | None = None) -> Executor:
    """A started executor in which the campaign's potentials have worked; writes nothing.

    Args:
        prepared: the campaign.
        potential: in use instead of the config's, after healing.

    Raises:
        ConfigError: one cannot be loaded, or does not work.
    """
    config = prepared.config
    named = potential or config.oracle.calculator
    executor = build_executor(config.executor)
    executor.start()
    try:
        try_named(executor, config, prepared.space, named)
    except BaseException:
        executor.shutdown()
        raise
    return executor


def refuse_taken(store: Store, config: CampaignConfig) -> None:
    """Look whether the name of a new campaign is free.

    Raises:
        CampaignExists: it is not; says how the settings of that campaign differ.
    """
    if store.is_taken(config.name):
        raise CampaignExists(name_taken(store, config))


def create(store: Store, prepared: Prepared) -> None:
    """Record a new campaign.

    Raises:
        CampaignExists: the name is taken; says how the settings of that campaign differ.
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
        executor: started and `tried`; it is shut down in the end.
        retry_failed: whether all failed trials are tried again. Without, it is those of a campaign
            that stopped because most failed, where the reason may have passed.
        console: where progress is shown (stderr).

    Raises:
        ConfigError: a change is refused, or an input or method is not what it was.
        CampaignRunning: another process runs it.
        KeyboardInterrupt: the user or a signal interrupted; the campaign is recorded as such.
    """
    store.campaign(name)  # an unknown name is reported before a lease is sought
    with Lease.acquire(store, name) as lease:
        campaign = Campaign(store, name, token=lease.token)
        config = campaign.proposed(overrides)
        check_address(config.executor)
        if prepared is None or overrides:
            oracle = campaign.oracle_of(config)
            found = prepare(config.model_copy(update={"oracle": oracle}), recorded=True)
            prepared = replace(found, config=config)  # what was asked for, with healed weights
        _check_methods(campaign, prepared)
        executor = executor or tried(prepared, campaign.potential)
        campaign.steer(overrides)  # only what can be carried out is recorded
        store.clear_stop(name)
        _warn_of_new_libraries(campaign, console)
        again = _to_be_tried_again(campaign, everything=retry_failed)
        campaign.record(
            ev.Opened(host=socket.gethostname(), pid=os.getpid(), environment=library_versions())
        )
        campaign.forget_failures(again)
        with signals_interrupt() as interrupts:
            return _work(store, campaign, prepared, executor, console, interrupts)


def _to_be_tried_again(campaign: Campaign, *, everything: bool) -> list[Trial]:
    stopped = campaign.state.stopped
    if everything:
        return campaign.state.failed()
    if stopped is not None and stopped.state == "failed":
        return campaign.state.failed(passing=True)
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
                return _looped(store, campaign, prepared, watched, mirror, view, interrupts)
            except KeyboardInterrupt:
                campaign.record(ev.Stopped(state="interrupted", reason="interrupted"))
                raise
            except ConfigError as error:  # the executor has not what the config asks for
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


def _looped(
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
    """Refuse to mix answers of two methods in one campaign."""
    was, now = campaign.state.methods, prepared.methods
    changed = [name for name in was if now.get(name) != was[name]]
    if changed:
        raise ConfigError(
            f"campaign {campaign.name}: the method of {', '.join(changed)} is not the one it was "
            f"launched with ({_what_changes(prepared.config)}); restore it, or launch a new "
            "campaign"
        )


def _what_changes(config: CampaignConfig) -> str:
    if isinstance(config.oracle, OwnOracleSettings):
        return f"the source of {config.oracle.kind} was edited, or what it says of its method"
    potential = config.oracle.calculator
    if isinstance(potential, str) and ":" in potential and potential.split(":")[0] not in FAMILIES:
        return (
            f"the source of {potential} was edited, or is looked at only since this version of "
            "phonoscout, or it is another version of the physics"
        )
    return "other weights of the potential, or another version of the physics"


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
