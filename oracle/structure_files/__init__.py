"""Structures as files and documents."""
