"""An oracle of the user's own, named in a config by its import path."""

from __future__ import annotations

import functools
import json
import math
import time
from typing import Any

from oracle.contract.evaluation import Failed, Measured, Unstable
from oracle.contract.protocol import Oracle
from oracle.materials.material import Material
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import RAISED_BY_LIBRARIES, SetupError, as_oracle_error, in_words
from oracle.runtime.own_classes import OwnSettings, check_interface, made
from oracle.runtime.sources import digest_of_import


class OwnOracleSettings(OwnSettings):
    """An oracle of the user's own; `options` are what its class is called with."""

    @property
    def calculator(self) -> None:
        """This project does not know which potential such an oracle uses, if any."""
        return None


class OwnOracle:
    """Asks an oracle of the user's own, and keeps it to what is expected of every oracle.

    Its method is what it says by itself, together with its sources and options: an edited source
    is another method. What it raises becomes a failed evaluation.

    Args:
        settings: name it.
        oracle: to be asked; None makes the one that the settings name, once per process.

    Raises:
        SetupError: it cannot be made, or is no oracle.
    """

    def __init__(self, settings: OwnOracleSettings, oracle: Oracle | None = None) -> None:
        self._settings = settings
        self._oracle = _made_once(settings.model_dump_json()) if oracle is None else oracle
        for name in ("fidelity", "method_digest"):
            text = getattr(self._oracle, name)
            if not isinstance(text, str) or not text:
                raise SetupError(f"{settings.kind!r}: {name} is {text!r}; expected a text")
        self._method = digest_of(
            {
                "oracle": settings.kind,
                "sources": digest_of_import(settings.kind),
                "options": settings.options,
                "method": self._oracle.method_digest,
            }
        )

    @property
    def fidelity(self) -> str:
        """Name of its fidelity."""
        return self._oracle.fidelity

    @property
    def method_digest(self) -> str:
        """SHA-256 of its own digest, its sources and its options."""
        return self._method

    def tightened(self, level: int) -> Oracle | None:
        """Its own tighter oracle, or None where there is none so tight; at level 0, itself."""
        if level == 0:
            return self
        tighter = self._oracle.tightened(level)
        if tighter is None:
            return None
        check_interface(tighter, Oracle, f"{self._settings.kind}: tightened({level})")
        return OwnOracle(self._settings, tighter)

    def evaluate(self, material: Material, *, context: Context) -> Measured | Unstable | Failed:
        """Its outcome, under the method of this oracle."""
        began = time.perf_counter()
        try:
            outcome: Any = self._oracle.evaluate(material, context=context)
        except RAISED_BY_LIBRARIES as raised:
            error = raised if isinstance(raised, Exception) else RuntimeError(f"exit: {raised}")
            failure = as_oracle_error(error, "give executor.memory_gb")
            return self._failed(
                material,
                time.perf_counter() - began,
                failure.stage,
                failure.message,
                permanent=not failure.transient,
                unexpected=failure.unexpected,
            )
        wrong = _what_cannot_be_recorded(outcome)
        if wrong is not None:
            message = f"{self._settings.kind} gave {wrong}"
            return self._failed(
                material, time.perf_counter() - began, "worker", message, permanent=True
            )
        provenance = {"settings": self._settings.model_dump(mode="json"), **outcome.provenance}
        update = {
            "material": material,
            "fidelity": self.fidelity,
            "method": self._method,
            "provenance": provenance,
        }
        whole: Measured | Unstable | Failed = outcome.model_copy(update=update)
        return whole

    def _failed(
        self,
        material: Material,
        cost_s: float,
        stage: str,
        message: str,
        *,
        permanent: bool,
        unexpected: bool = False,
    ) -> Failed:
        return Failed(
            material=material,
            fidelity=self.fidelity,
            method=self._method,
            cost_s=cost_s,
            stage=stage,
            provenance={"settings": self._settings.model_dump(mode="json")},
            message=message,
            permanent=permanent,
            unexpected=unexpected,
        )


def _what_cannot_be_recorded(outcome: Any) -> str | None:
    """What is wrong with an outcome, in one line, or None."""
    if not isinstance(outcome, Measured | Unstable | Failed):
        return (
            f"{type(outcome).__name__}; expected Measured, Unstable or Failed of "
            "oracle.contract.evaluation"
        )
    if not (math.isfinite(outcome.cost_s) and outcome.cost_s >= 0):
        return f"cost_s {outcome.cost_s}; expected seconds, a finite number of at least 0"
    try:
        outcome.model_dump_json()
    except ValueError as error:
        return f"what JSON cannot hold ({in_words(error)}); expected plain numbers, texts and lists"
    return None


@functools.lru_cache(maxsize=8)
def _made_once(settings: str) -> Oracle:
    """The oracle of some settings (JSON); as with potentials, making it may take long."""
    oracle: Oracle = made(OwnOracleSettings.model_validate(json.loads(settings)), Oracle)
    return oracle
