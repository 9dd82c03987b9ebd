"""Deciding what to ask next."""
