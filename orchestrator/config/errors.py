"""The error for wrong input."""

from __future__ import annotations


class ConfigError(Exception):
    """The input was wrong: one line with the key, what was given, and what is allowed."""
