"""The error of a config."""

from __future__ import annotations


class ConfigError(Exception):
    """The input was wrong: one line that names the key, what was given and what is allowed."""
