"""How work runs and what it stores: errors, digests, files, stages, threads."""
