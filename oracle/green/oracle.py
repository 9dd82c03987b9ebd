"""The oracle `green`: phonon transmission through a sequence of layers between two leads."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from oracle.contract.computing import ComputingOracle
from oracle.contract.evaluation import Measured, Outcome, Unstable, make_quantity
from oracle.green.settings import GreenSettings
from oracle.materials.material import Material
from oracle.materials.superlattice import Stack, Superlattice
from oracle.phonons.doubts import everywhere, together
from oracle.runtime.context import Context
from oracle.runtime.digests import digest_of
from oracle.runtime.errors import OracleError

if TYPE_CHECKING:
    from oracle.green.device import Device, Transport

VERSION = 1
"""To be raised when the numbers of the same design and settings would change."""


class GreenOracle(ComputingOracle[GreenSettings]):
    """Landauer conductance of layers between semi-infinite leads.

    Args:
        settings: all that changes the science.

    Raises:
        OracleError: stage ``read``; unknown potential or one that is not installed.
    """

    def __init__(self, settings: GreenSettings) -> None:
        document = settings.model_dump(mode="json")
        if settings.dispersion is None:
            del document["dispersion"]  # methods without it are as they were
        identity = {"oracle": "green", "version": VERSION, "settings": document}
        super().__init__(settings, "green", identity)

    def tightened(self, level: int) -> GreenOracle:
        """The oracle that confirms a leader: denser meshes at each level."""
        return GreenOracle(self._tighter(level))

    def evaluate(self, material: Material, *, context: Context) -> Outcome:
        """The evaluation of one sequence."""
        return self.evaluate_many([material], context=context)[0]

    def evaluate_many(self, materials: Sequence[Material], *, context: Context) -> list[Outcome]:
        """Evaluations in the given order; those of one stack and length are computed together.

        What they share is computed once, so that a thousand cost little more than a hundred.
        """
        outcomes: dict[int, Outcome] = {}
        groups: dict[tuple[str, int], list[int]] = {}
        for i, material in enumerate(materials):
            stored = self._stored(self._store(context), "evaluations", material)
            if stored is not None:
                outcomes[i] = stored
                continue
            stack = material.stack if isinstance(material, Superlattice) else None
            name = "" if stack is None else stack.model_dump_json()
            groups.setdefault((name, len(material.formula)), []).append(i)
        for members in groups.values():
            group = [materials[i] for i in members]
            for i, outcome in zip(members, self._group(group, context), strict=True):
                outcomes[i] = outcome
        return [outcomes[i] for i in range(len(materials))]

    def _group(self, materials: Sequence[Material], context: Context) -> list[Outcome]:
        """Evaluations of materials that share stack and length."""
        started = time.perf_counter()
        try:
            sequences = [_sequence(material) for material in materials]
            first = materials[0]
            assert isinstance(first, Superlattice)
            stack = first.stack
            assert stack is not None
            device = self._device(stack, context)
            if not device.stable:
                return [self._unstable(m, device, started) for m in materials]
            transports = device.many(sequences)
            share = (time.perf_counter() - started) / len(materials)
            return [
                self._measured(m, x, device, share, context)
                for m, x in zip(materials, transports, strict=True)
            ]
        except Exception as error:
            cost, relief = time.perf_counter() - started, "give fewer sequences at once"
            return [self._failed(m, error, cost, relief) for m in materials]

    def _device(self, stack: Stack, context: Context) -> Device:
        """What all sequences of a stack share, from this process's memory or the stored stages."""
        field = self._field(context)
        key = digest_of([stack.model_dump(mode="json"), self._method, str(context.workdir)])
        if key not in _LAST_DEVICE:
            from oracle.green.device import prepare_device  # torch takes seconds to import

            device = prepare_device(stack, self._settings, field)
            _LAST_DEVICE.clear()
            _LAST_DEVICE[key] = device
        _LAST_DEVICE[key].blocks.forces = field  # with deadline and progress of this evaluation
        return _LAST_DEVICE[key]

    def _unstable(self, material: Any, device: Device, started: float) -> Unstable:
        return Unstable(
            **self._record(material, "stability", time.perf_counter() - started),
            min_frequency=device.lowest,
            reason="imaginary phonon modes of a layer strained to the lead",
        )

    def _measured(
        self, material: Any, transport: Transport, device: Device, cost: float, context: Context
    ) -> Measured:
        """The evaluation of a stable design, stored with its transmission."""
        sequence, leads = material.sequence, material.stack.leads
        length = device.length(sequence) * 1e-10
        with_leads = leads[0] + sequence + leads[1]
        record = self._record(material, "transmission", cost, **device.details)
        store = self._store(context)
        kind, key = "evaluations", self._key(material)
        home = store.path(kind, key).relative_to(context.workdir)
        frequencies, values = device.midpoints.tolist(), transport.transmission.tolist()
        record["artefacts"] = {"transmission": str(home / "transmission.json")}
        temperatures = self._settings.temperatures
        factors = {"conductance": 1.0, "kappa": length}
        outcome = Measured(
            **record,
            temperature=temperatures,
            **together([everywhere(x, temperatures) for x in device.hosts.cautions], temperatures),
            properties={
                **{
                    name: make_quantity(
                        name,
                        (transport.conductance * factor).tolist(),
                        std=None if transport.std is None else (transport.std * factor).tolist(),
                    )
                    for name, factor in factors.items()
                },
                "transmission": make_quantity("transmission", values),
                "frequencies": make_quantity("frequencies", frequencies),
                "interfaces": make_quantity(
                    "interfaces", float(sum(a != b for a, b in itertools.pairwise(with_leads)))
                ),
                "length": make_quantity("length", length * 1e10),
            },
        )
        with store.directory(kind, key) as folder:
            document: dict[str, Any] = {
                "sequence": sequence,
                "leads": leads,
                "frequencies_thz": frequencies,
                "modes_per_cell": values,
                "cell_area_A2": device.hosts.area,
            }
            if device.lead_transmission is not None:
                document["lead_modes_per_cell"] = device.lead_transmission.tolist()
            (folder / "transmission.json").write_text(json.dumps(document))
            self._keep(folder, outcome)
        return outcome


def _sequence(material: Material) -> str:
    if not isinstance(material, Superlattice):
        raise OracleError("read", "got a crystal; green needs a sequence of layers")
    if material.stack is None:
        raise OracleError(
            "read",
            f"sequence {material.sequence!r} does not say what its letters stand for; "
            "expected a stack of crystals and leads",
        )
    return material.sequence


_LAST_DEVICE: dict[str, Device] = {}
"""The device of the last stack in this process, by key; all sequences of a campaign share it."""
