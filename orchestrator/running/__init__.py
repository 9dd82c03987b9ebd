"""The loop, its start, its dry run, and single evaluations."""
