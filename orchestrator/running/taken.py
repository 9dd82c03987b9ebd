"""The message when a config is launched under the name of a campaign that exists."""

from __future__ import annotations

import shlex
from typing import Any

import yaml

from orchestrator.campaign.campaign import Campaign
from orchestrator.campaign.hints import home_option, resume_command
from orchestrator.config.config import FREE, STEERED, CampaignConfig
from orchestrator.config.loading import differences, input_digests
from orchestrator.store.store import Store

_SHOWN = 6  # differences that are listed


def name_taken(store: Store, config: CampaignConfig) -> str:
    """One line that says how the config differs from the campaign's, and what can be done."""
    campaign = Campaign(store, config.name)
    changes = _changes(campaign, config)
    if not changes:
        return (
            f"campaign {config.name} exists already; go on with: "
            f"{resume_command(store.home, config.name)}"
        )
    listed = [f"{key} is {_text(was)}, given {_text(now)}" for key, (was, now) in changes.items()]
    more = f", and {len(listed) - _SHOWN} more" if len(listed) > _SHOWN else ""
    line = (
        f"campaign {config.name} exists already with other settings: "
        f"{'; '.join(listed[:_SHOWN])}{more}; launch this one under another name: "
        f"--name {shlex.quote(_free_name(store, config.name))}{home_option(store.home)}"
    )
    if all(_may_change(campaign, config, key) for key in changes):
        overrides = [f"{key}={_text(now)}" for key, (_, now) in changes.items()]
        line += f"; or change the old one: {resume_command(store.home, config.name, overrides)}"
    return line


def _changes(campaign: Campaign, config: CampaignConfig) -> dict[str, tuple[Any, Any]]:
    """Differences from the settings in force; none where the config is the one launched."""
    new = config.model_dump(mode="json")
    launched = campaign.launched.model_dump(mode="json")
    if not differences(launched, new):
        return {}
    return differences(campaign.config.model_dump(mode="json"), new)


def _may_change(campaign: Campaign, config: CampaignConfig, key: str) -> bool:
    """Whether a setting may change on resume; a path may, if the content is the same."""
    inputs = campaign.state.inputs
    if key in inputs:
        return input_digests(config).get(key) == inputs[key]
    return key.partition(".")[0] in (*STEERED, *FREE)


def _free_name(store: Store, name: str) -> str:
    names = {row.name for row in store.campaigns()}
    return next(f"{name}-{i}" for i in range(2, len(names) + 3) if f"{name}-{i}" not in names)


def _text(value: Any) -> str:
    """A value in YAML on one line."""
    dumped = yaml.safe_dump(value, default_flow_style=True, width=10**6)
    return str(dumped).removesuffix("...\n").strip()
