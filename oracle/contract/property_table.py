"""What each property is called, in which unit it is told, and which ones matter most to people.

The one place where a property's name for programs meets its name for people.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PropertyLine:
    """How a property is shown.

    Args:
        label: its name in the field's terms.
        unit: as of its `Quantity`.
        digits: significant ones that mean something where no error is stated.
        main: whether it is shown without being asked for.
    """

    label: str
    unit: str = ""
    digits: int = 4
    main: bool = False


HEADLINES = ("interface_conductance", "conductance", "kappa")
"""What an evaluation is made for; the first that it has stands above all else."""
PROPERTY_TABLE: dict[str, PropertyLine] = {
    "kappa": PropertyLine("lattice thermal conductivity", "W/m/K", 4, True),
    "conductance": PropertyLine("thermal conductance", "W/m²/K", 4, True),
    "interface_conductance": PropertyLine("conductance, diffuse mismatch", "W/m²/K", 4, True),
    "interface_conductance_amm": PropertyLine("conductance, acoustic mismatch", "W/m²/K", 4, True),
    "radiation_limit": PropertyLine("radiation limit", "W/m²/K", 4, True),
    "overlap": PropertyLine("overlap of the spectra", "", 3, True),
    "kappa_particle": PropertyLine("kappa of particle-like transport", "W/m/K"),
    "kappa_coherence": PropertyLine("kappa of coherences", "W/m/K"),
    "min_frequency_thz": PropertyLine("lowest frequency", "THz", 4, True),
    "max_frequency_thz": PropertyLine("highest frequency", "THz", 4, True),
    "heat_capacity": PropertyLine("heat capacity", "k_B/atom", 4, True),
    "gruneisen_mean": PropertyLine("Grüneisen parameter", "", 3, True),
    "anharmonicity": PropertyLine("anharmonicity", "", 2, True),
    "debye_temperature": PropertyLine("Debye temperature", "K", 4, True),
    "bulk_modulus": PropertyLine("bulk modulus", "GPa", 4, True),
    "volume": PropertyLine("volume", "Å³/atom", 5, True),
    "energy_per_atom": PropertyLine("energy per atom", "eV", 7),
    "max_msd": PropertyLine("largest mean square displacement", "Å²", 3),
    "phase_space": PropertyLine("phase space of scattering", "ps", 3),
    "shear_modulus": PropertyLine("shear modulus", "GPa"),
    "elastic_tensor": PropertyLine("elastic tensor", "GPa"),
    "sound_velocity_longitudinal": PropertyLine("velocity of sound, longitudinal", "m/s"),
    "sound_velocity_transverse": PropertyLine("velocity of sound, transverse", "m/s"),
    "kappa_slack": PropertyLine("kappa of Slack's model", "W/m/K", 3),
    "kappa_callaway": PropertyLine("kappa of the Debye-Callaway model", "W/m/K", 3),
    "kappa_cahill": PropertyLine("kappa of Cahill's model", "W/m/K", 3),
    "kappa_clarke": PropertyLine("kappa of Clarke's model", "W/m/K", 3),
    "interfaces": PropertyLine("interfaces between layers", "", 4, True),
    "length": PropertyLine("length between the leads", "Å", 4, True),
    "transmission": PropertyLine("transmission", "modes/cell"),
    "frequencies": PropertyLine("frequencies of the transmission", "THz"),
    "force_calls": PropertyLine("force calls"),
}
"""By the name that records, configs and JSON use."""


def line_of(name: str) -> PropertyLine:
    """How a property is shown; one that is not in the table by its own name, without a unit."""
    return PROPERTY_TABLE.get(name, PropertyLine(name.replace("_", " ")))
