"""Formatting of numbers, tables and progress displays for people."""
