"""The campaign loop, starting and resuming it, dry runs, and single evaluations."""
