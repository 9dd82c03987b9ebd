"""The errors that mean: the input was wrong. Each is one clear line, without a traceback."""

from __future__ import annotations

from oracle.errors import OracleError
from orchestrator.config import ConfigError
from orchestrator.store import CampaignExists, CampaignRunning, UnknownCampaign, UnknownCandidate

INPUT_ERRORS: tuple[type[Exception], ...] = (
    ConfigError,
    OracleError,
    CampaignExists,
    CampaignRunning,
    UnknownCampaign,
    UnknownCandidate,
)
