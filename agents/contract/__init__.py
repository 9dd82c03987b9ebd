"""Candidates, design spaces, proposers, objectives and constraints."""
