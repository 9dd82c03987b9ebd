"""How a function is sent to a worker: as the name under which the worker imports it."""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any


def address_of(function: Callable[..., Any]) -> str:
    """``module:name`` of a function that is defined at the top level of a module.

    Raises:
        TypeError: no other process can import the function, for instance because it is a lambda, a
            method of an object or a function inside another.
    """
    if not isinstance(function, FunctionType):
        raise TypeError(_refusal(repr(function), f"it is a {type(function).__name__}"))
    module, name = function.__module__, function.__qualname__
    address = f"{module}:{name}"
    if module == "__main__":
        raise TypeError(_refusal(address, "workers have another main module"))
    if "<" in name:  # of <lambda> or <locals>
        raise TypeError(_refusal(address, "it has no name in its module"))
    try:
        importable = operator.attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        importable = None
    if importable is not function:
        raise TypeError(_refusal(address, "its module has no such function, or another one"))
    return address


def function_at(address: str) -> Callable[..., Any]:
    """The function at an address; imports its module.

    Raises:
        ImportError: the module cannot be imported here, or has no such function.
    """
    module, _, name = address.partition(":")
    try:
        function = operator.attrgetter(name)(importlib.import_module(module))
    except AttributeError as error:
        raise ImportError(f"{module} has no {name} in this worker") from error
    if not callable(function):
        raise ImportError(f"{address} is a {type(function).__name__}, expected a function")
    return function


def _refusal(function: str, reason: str) -> str:
    return (
        f"{function} cannot run in a worker: {reason}; give a function that is defined at the top "
        "level of an importable module"
    )
