"""How work runs and what it leaves behind: errors, digests, files, stages, threads."""
