"""The campaign: loop, store, executors, tracking, command line and HTTP."""
