"""TEMPORARY."""
from orchestrator.serial_executor import SerialExecutor as RayExecutor
