"""How a function gets to a worker: by the name under which the worker imports it."""

from __future__ import annotations

import importlib
import operator
import sys
from collections.abc import Callable
from types import FunctionType
from typing import Any


def address_of(function: Callable[..., Any]) -> str:
    """``module:name`` of a function of a module's top level.

    Raises:
        TypeError: it is none, for instance a lambda, a method of an object or a function inside
            another, so that no other process can import it.
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
        found = operator.attrgetter(name)(sys.modules[module])
    except (AttributeError, KeyError):
        found = None
    if found is not function:
        raise TypeError(_refusal(address, "its module has no such function, or another one"))
    return address


def function_at(address: str) -> Callable[..., Any]:
    """The function with an address; imports its module.

    Raises:
        ImportError: the module cannot be imported here, or has no such function.
    """
    module, _, name = address.partition(":")
    try:
        found = operator.attrgetter(name)(importlib.import_module(module))
    except AttributeError as error:
        raise ImportError(f"{module} has no {name} in this worker") from error
    if not callable(found):
        raise ImportError(f"{address} is a {type(found).__name__}, expected a function")
    return found


def _refusal(given: str, reason: str) -> str:
    return (
        f"{given} cannot run in a worker: {reason}; give a function that is defined at the top "
        "level of an importable module"
    )
