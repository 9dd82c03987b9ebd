"""Answers to queries, as documents for people and programs."""
