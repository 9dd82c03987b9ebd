"""Connects to Ray without blocking the caller: starts it on this machine, or joins a cluster."""

from __future__ import annotations

import logging
import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from oracle.runtime.errors import one_line
from oracle.runtime.threads import thread_variables
from orchestrator.config.errors import ConfigError
from orchestrator.config.run_settings import ExecutorSettings
from orchestrator.executors.protocol import Payload
from orchestrator.executors.ray_address import check_address, cluster_address

_OBJECT_STORE_BYTES = 200 * 2**20  # calls carry kilobytes; big results are files
_LONGEST_TEMP = 36  # characters; socket paths have at most 107, and Ray appends up to 70
_START_S = 300.0  # limit for starting Ray here; it takes seconds, on a busy machine a minute
_JOIN_S = 20.0  # limit for joining a cluster that answers
_POLL_S = 0.5
_LONGEST_REASON = 300  # characters quoted from an error message of Ray
_LEAVE_S = 20.0  # limit for leaving a cluster, or for ending Ray here
_RAY_HERE, _NODE = "Ray finds", "the largest node of the cluster has"
_LARGER = "name a larger cluster in executor.address"
_ADD = "add a larger node to the cluster before the launch"
THREAD = "ray"
"""Name of the thread that holds the connection."""


class RayCluster:
    """A connection to Ray, held by a thread of its own until it is closed.

    The kernel kills the processes that Ray starts when the thread that started them ends, so that
    nothing survives a killed campaign. Therefore the thread must exist as long as the connection.

    Args:
        settings: address, workers and resources per call.
    """

    def __init__(self, settings: ExecutorSettings) -> None:
        self._settings = settings
        self._thread: threading.Thread | None = None
        self._connected = threading.Event()
        self._closing = threading.Event()
        self._failure: Exception | None = None
        self._slots = settings.workers or 1

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._hold, name=THREAD, daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until calls can be made.

        Raises:
            ConfigError: the cluster does not answer, Ray did not start, or its nodes lack the
                resources that a call needs.
        """
        self.start()
        address = cluster_address(self._settings)
        limit = _START_S if address is None else _JOIN_S
        end = time.monotonic() + limit
        # Python handles signals only between these short waits.
        while not self._connected.wait(_POLL_S):
            if time.monotonic() > end:
                raise ConfigError(
                    f"executor: Ray {'here' if address is None else f'at {address}'} was not ready "
                    f"within {limit:.0f} s; see its logs, or use executor.kind: serial"
                )
        if isinstance(self._failure, ConfigError):
            raise ConfigError(str(self._failure)) from self._failure
        if self._failure is not None:
            reason = one_line(self._failure)[:_LONGEST_REASON]
            raise ConfigError(f"executor: Ray did not start: {reason}") from self._failure

    @property
    def slots(self) -> int:
        """Number of calls that fit at the same time; waits for the connection."""
        if self._settings.workers is None:
            self.wait()
        return self._slots

    def has_nodes(self) -> bool:
        """Whether any node is left to run calls."""
        import ray

        return any(node["Alive"] for node in ray.nodes())

    def actor_options(self) -> dict[str, Any]:
        """Resources and environment of one worker."""
        settings = self._settings
        variables = thread_variables(settings.cpus_per_call)
        return {
            "num_cpus": settings.cpus_per_call,
            "num_gpus": settings.gpus_per_call,
            "memory": None if settings.memory_gb is None else int(settings.memory_gb * 2**30),
            "runtime_env": {"env_vars": {**variables, "PYTHONPATH": _python_path()}},
        }

    def close(self) -> None:
        """End Ray here, or leave the cluster; waits for that, but not longer than a limit."""
        self._closing.set()
        if self._thread is not None:
            # While the thread is still joining a cluster, it cannot be made to end.
            local = cluster_address(self._settings) is None
            self._thread.join(_LEAVE_S if local or self._connected.is_set() else _POLL_S)

    def _hold(self) -> None:
        if cluster_address(self._settings) is None:
            # Not only for the systems in its name: Ray then listens on the loopback alone.
            os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
        import ray

        try:
            check_address(self._settings)
            self._connect()
        except Exception as error:  # `wait` raises it again
            self._failure = error
        finally:
            self._connected.set()
        self._closing.wait()
        ray.shutdown()

    def _connect(self) -> None:
        import ray

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        # Replies tell what happens to workers; Ray would print it on stdout.
        ray._private.worker._worker_logs_enabled = False
        ray.init(**_arguments(self._settings), logging_level=logging.ERROR, log_to_driver=False)
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        fitting = _fitting(self._settings, nodes)
        self._slots = self._settings.workers or max(1, fitting)


def _arguments(settings: ExecutorSettings) -> Payload:
    """Arguments of `ray.init`: an address, or the resources of Ray on this machine."""
    address = cluster_address(settings)
    if address is not None:
        return {"address": address}
    needed = (settings.workers or 1) * settings.cpus_per_call
    temp = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return {
        "address": "local",  # never another user's Ray that happens to run here
        # None lets Ray count the CPUs, also within containers; a user may ask for more.
        "num_cpus": needed if needed > len(os.sched_getaffinity(0)) else None,
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE_BYTES,
        "_temp_dir": "/tmp/ray" if len(temp) > _LONGEST_TEMP else None,
    }


def _fitting(settings: ExecutorSettings, nodes: Sequence[Mapping[str, float]]) -> int:
    """Number of calls that the resources of the nodes can run side by side.

    Raises:
        ConfigError: not even one fits on any node; its worker would be waited for in vain.
    """
    address = cluster_address(settings)
    needs = {
        "cpus_per_call": ("CPU", float(settings.cpus_per_call), 1),
        "gpus_per_call": ("GPU", settings.gpus_per_call, 1),
        "memory_gb": ("memory", settings.memory_gb or 0.0, 2**30),
    }
    for name, (resource, need, unit) in needs.items():
        have = max((node.get(resource, 0.0) / unit for node in nodes), default=0.0)
        if need > have:
            raise ConfigError(
                f"executor.{name} is {need:g}, but {_RAY_HERE if address is None else _NODE} only "
                f"{have:.3g}; lower it, or {_LARGER if address is None else _ADD}"
            )
    limiting = [(resource, need * unit) for resource, need, unit in needs.values() if need > 0]
    fitting = [min(int(node.get(name, 0.0) // need) for name, need in limiting) for node in nodes]
    if not sum(fitting):
        asked = ", ".join(f"{name} {need:g}" for name, (_, need, _) in needs.items() if need)
        raise ConfigError(
            f"executor: no node has all that a call needs ({asked}); lower one of them, or "
            f"{_LARGER if address is None else _ADD}"
        )
    return sum(fitting)


def _python_path() -> str:
    """Where workers find this program: the folders of this process, but not those of its Python."""
    own = (sys.prefix, sys.base_prefix, sys.exec_prefix)
    folders = [str(Path(entry).absolute()) for entry in sys.path]
    return os.pathsep.join(dict.fromkeys(f for f in folders if not f.startswith(own)))
