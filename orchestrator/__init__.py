"""The campaign: loop, store, executors, tracking, command line and HTTP."""

from orchestrator.neighbours import import_neighbours

import_neighbours()
