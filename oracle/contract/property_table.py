"""Every property that an oracle measures: its name, unit and symbol, and what can be done with it.

This is the only list of properties. Objectives, constraints, columns, axes of plots, priors of
surrogates and the page `docs/properties.md` read it; to add a property, add an entry here and
compute it.
"""

from __future__ import annotations

from collections.abc import Mapping

from oracle.contract.property_spec import PropertySpec

_BOTH = ("harmonic", "bte")
_THIRD_ORDER = ("bte",)
_ALWAYS: tuple[str, ...] = ()  # at all fidelities that the oracle has

HEADLINES = ("interface_conductance", "conductance", "kappa")
"""What an evaluation is made for; the first that it has stands above all else."""
PROPERTY_TABLE: Mapping[str, PropertySpec] = {
    "kappa": PropertySpec(
        "lattice thermal conductivity",
        "Heat that phonons carry per area, time and temperature gradient.",
        symbol="κ",
        unit="W/m/K",
        oracles={"phonon-bte": _BOTH, "green": _ALWAYS},
        shape="tensor",
        # Across the layers; and Slack's formula, which knows of no direction.
        numbers_from={"green": _ALWAYS, "phonon-bte": ("harmonic",)},
        per_temperature=True,
        positive=True,
        prior="slack",
        # Three-phonon scattering alone limits it above the Debye temperature (Ziman, Electrons and
        # Phonons, ch. 8); crystals stray from that by the second number.
        slope=(-1.0, 0.15),
        temperature=300.0,
        main=True,
        promised=True,
    ),
    "conductance": PropertySpec(
        "thermal conductance",
        "Heat that phonons carry through layers between two leads per area, time and temperature "
        "difference, without scattering among phonons (Landauer).",
        symbol="G",
        unit="W/m²/K",
        oracles={"green": _ALWAYS},
        per_temperature=True,
        positive=True,
        unit_varies=True,
        main=True,
    ),
    "interface_conductance": PropertySpec(
        "conductance, diffuse mismatch",
        "Thermal conductance of an interface that scatters every phonon diffusely (diffuse "
        "mismatch model).",
        symbol="G",
        unit="W/m²/K",
        oracles={"interface": _ALWAYS},
        per_temperature=True,
        positive=True,
        temperature=300.0,
        unit_varies=True,
        main=True,
    ),
    "interface_conductance_amm": PropertySpec(
        "conductance, acoustic mismatch",
        "Thermal conductance of an ideal interface between two elastic continua (acoustic mismatch "
        "model).",
        symbol="G",
        unit="W/m²/K",
        oracles={"interface": _ALWAYS},
        per_temperature=True,
        positive=True,
        temperature=300.0,
        unit_varies=True,
        main=True,
    ),
    "radiation_limit": PropertySpec(
        "radiation limit",
        "Largest thermal conductance of an interface that the second law and elastic transmission "
        "allow.",
        unit="W/m²/K",
        oracles={"interface": _ALWAYS},
        per_temperature=True,
        positive=True,
        temperature=300.0,
        unit_varies=True,
        main=True,
    ),
    "overlap": PropertySpec(
        "overlap of the spectra",
        "Overlap of the two crystals' densities of phonon states, from 0 to 1.",
        oracles={"interface": _ALWAYS},
        digits=3,
        main=True,
    ),
    "kappa_particle": PropertySpec(
        "kappa of particle-like transport",
        "Part of the lattice thermal conductivity that the populations of phonons carry.",
        symbol="κ_P",
        unit="W/m/K",
        oracles={"phonon-bte": _THIRD_ORDER},
        shape="tensor",
        per_temperature=True,
        positive=True,
        promised=True,
    ),
    "kappa_coherence": PropertySpec(
        "kappa of coherences",
        "Part of the lattice thermal conductivity that wave-like tunnelling between phonon bands "
        "carries.",
        symbol="κ_C",
        unit="W/m/K",
        oracles={"phonon-bte": _THIRD_ORDER},
        requires="coherence",
        shape="tensor",
        per_temperature=True,
        promised=True,
    ),
    "kappa_lbte": PropertySpec(
        "kappa by full solution",
        "Lattice thermal conductivity by full solution of the Boltzmann equation, beside that by "
        "the relaxation-time approximation.",
        symbol="κ_LBTE",
        unit="W/m/K",
        oracles={"phonon-bte": _THIRD_ORDER},
        requires="full_solution",
        shape="tensor",
        per_temperature=True,
        positive=True,
        main=True,
    ),
    "min_frequency_thz": PropertySpec(
        "lowest frequency",
        "Lowest phonon frequency; imaginary ones are negative.",
        unit="THz",
        oracles={"phonon-bte": _BOTH},
        main=True,
        promised=True,
        aliases=("min_frequency",),
    ),
    "max_frequency_thz": PropertySpec(
        "highest frequency",
        "Highest phonon frequency.",
        unit="THz",
        oracles={"phonon-bte": _BOTH},
        positive=True,
        prior="debye-frequency",
        main=True,
        promised=True,
        aliases=("max_frequency",),
    ),
    "heat_capacity": PropertySpec(
        "heat capacity",
        "Heat capacity of the phonons per atom at constant volume; 3 k_B where it is classical.",
        symbol="C_V",
        unit="k_B/atom",
        oracles={"phonon-bte": _THIRD_ORDER},
        per_temperature=True,
        positive=True,
        main=True,
        promised=True,
    ),
    "gruneisen_mean": PropertySpec(
        "Grüneisen parameter",
        "Mean of the modes' Grüneisen parameters with their signs, weighted by their heat "
        "capacities near 300 K, on which thermal expansion depends; at fidelity harmonic, that of "
        "the equation of state.",
        symbol="γ",
        oracles={"phonon-bte": _BOTH},
        limited=True,
        digits=3,
        main=True,
        promised=True,
    ),
    "gruneisen_rms": PropertySpec(
        "root-mean-square Grüneisen parameter",
        "Root mean square of the modes' Grüneisen parameters, weighted by their heat capacities "
        "near 300 K; the strength of anharmonicity in the models of Slack and Callaway.",
        oracles={"phonon-bte": _THIRD_ORDER},
        positive=True,
        limited=True,
        digits=3,
    ),
    "anharmonicity": PropertySpec(
        "anharmonicity",
        "Share of the forces at a temperature that force constants of second and third order leave "
        "unexplained.",
        oracles={"phonon-bte": _THIRD_ORDER},
        per_temperature=True,
        limited=True,
        digits=2,
        main=True,
        promised=True,
    ),
    "debye_temperature": PropertySpec(
        "Debye temperature",
        "Temperature of the highest frequency of a Debye solid with the crystal's mean sound "
        "velocity and its density of atoms.",
        symbol="θ_D",
        unit="K",
        oracles={"phonon-bte": _BOTH},
        positive=True,
        prior="debye-temperature",
        main=True,
    ),
    "bulk_modulus": PropertySpec(
        "bulk modulus",
        "Resistance to uniform compression of a polycrystal (Voigt-Reuss-Hill average).",
        symbol="B",
        unit="GPa",
        oracles={"phonon-bte": _BOTH},
        positive=True,
        prior="bulk-modulus",
        main=True,
    ),
    "volume": PropertySpec(
        "volume",
        "Volume per atom of the relaxed crystal.",
        symbol="V",
        unit="Å³/atom",
        oracles={"phonon-bte": _BOTH},
        positive=True,
        digits=5,
        main=True,
        promised=True,
    ),
    "energy_per_atom": PropertySpec(
        "energy per atom",
        "Energy of the relaxed crystal by the potential; its zero is the potential's own.",
        symbol="E",
        unit="eV",
        oracles={"phonon-bte": _BOTH},
        digits=7,
        promised=True,
    ),
    "max_msd": PropertySpec(
        "largest mean square displacement",
        "Mean square displacement along one direction of the atom that moves farthest.",
        symbol="⟨u²⟩",
        unit="Å²",
        oracles={"phonon-bte": _THIRD_ORDER},
        per_temperature=True,
        positive=True,
        limited=True,
        digits=3,
        promised=True,
    ),
    "phase_space": PropertySpec(
        "phase space of scattering",
        "Combinations of three phonons that conserve energy and momentum, averaged over the modes.",
        symbol="P₃",
        unit="ps",
        oracles={"phonon-bte": _THIRD_ORDER},
        positive=True,
        digits=3,
    ),
    "shear_modulus": PropertySpec(
        "shear modulus",
        "Resistance to shear of a polycrystal (Voigt-Reuss-Hill average).",
        symbol="G",
        unit="GPa",
        oracles={"phonon-bte": _BOTH},
        positive=True,
    ),
    "elastic_tensor": PropertySpec(
        "elastic tensor",
        "Elastic stiffness in Voigt notation (xx, yy, zz, yz, xz, xy), by finite strain.",
        symbol="C_ij",
        unit="GPa",
        oracles={"phonon-bte": _BOTH},
        shape="array",
    ),
    "sound_velocity_longitudinal": PropertySpec(
        "longitudinal sound velocity",
        "Velocity of longitudinal sound in a polycrystal, from bulk and shear modulus.",
        symbol="v_L",
        unit="m/s",
        oracles={"phonon-bte": _BOTH},
        positive=True,
    ),
    "sound_velocity_transverse": PropertySpec(
        "transverse sound velocity",
        "Velocity of transverse sound in a polycrystal, from the shear modulus.",
        symbol="v_T",
        unit="m/s",
        oracles={"phonon-bte": _BOTH},
        positive=True,
    ),
    "kappa_slack": PropertySpec(
        "kappa of Slack's model",
        "Lattice thermal conductivity by Slack's formula, right within a factor of 3.",
        unit="W/m/K",
        oracles={"phonon-bte": _BOTH},
        per_temperature=True,
        positive=True,
        digits=3,
    ),
    "kappa_callaway": PropertySpec(
        "kappa of the Debye-Callaway model",
        "Lattice thermal conductivity of three acoustic Debye branches with natural isotopes "
        "(Callaway's model).",
        unit="W/m/K",
        oracles={"phonon-bte": _BOTH},
        per_temperature=True,
        positive=True,
        digits=3,
    ),
    "kappa_cahill": PropertySpec(
        "kappa of Cahill's model",
        "Least thermal conductivity, of modes that lose their energy in half a period (Cahill).",
        unit="W/m/K",
        oracles={"phonon-bte": _BOTH},
        per_temperature=True,
        positive=True,
        digits=3,
    ),
    "kappa_clarke": PropertySpec(
        "kappa of Clarke's model",
        "Least thermal conductivity at high temperature (Clarke).",
        unit="W/m/K",
        oracles={"phonon-bte": _BOTH},
        positive=True,
        digits=3,
    ),
    "interfaces": PropertySpec(
        "interfaces between layers",
        "Number of neighbouring layers that differ, leads included.",
        oracles={"green": _ALWAYS},
        main=True,
    ),
    "length": PropertySpec(
        "length between the leads",
        "Thickness of all layers between the leads.",
        unit="Å",
        oracles={"green": _ALWAYS},
        positive=True,
        main=True,
    ),
    "transmission": PropertySpec(
        "transmission",
        "Phonon modes per cell of the cross-section that pass the layers, by frequency.",
        unit="modes/cell",
        oracles={"green": _ALWAYS},
        shape="array",
    ),
    "frequencies": PropertySpec(
        "frequencies of the transmission",
        "Frequencies at which the transmission is given.",
        unit="THz",
        oracles={"green": _ALWAYS},
        shape="array",
    ),
    "force_calls": PropertySpec(
        "force calls",
        "Supercells whose forces the evaluation took, beside the primitive cells of relaxation and "
        "strain; not a property of the material.",
        promised=True,
    ),
}
"""By the name that records, configs and JSON use. The order is that in which they are shown."""
_ALIASES = {alias: name for name, spec in PROPERTY_TABLE.items() for alias in spec.aliases}


def names_of(name: str) -> tuple[str, ...]:
    """All names of a property, the one given first."""
    own = _ALIASES.get(name, name)
    spec = PROPERTY_TABLE.get(own)
    rest = () if spec is None else (own, *spec.aliases)
    return tuple(dict.fromkeys((name, *rest)))


def spec_of(name: str) -> PropertySpec:
    """What is known of a property by any of its names; of a user's own, no more than its name."""
    spec = PROPERTY_TABLE.get(_ALIASES.get(name, name))
    return PropertySpec(name.replace("_", " "), "") if spec is None else spec


def sought(oracle: str, fidelity: str) -> list[str]:
    """Names of the properties that an oracle measures at a fidelity and that can be objectives."""
    return [
        name
        for name, spec in PROPERTY_TABLE.items()
        if spec.can_be_sought and spec.given_at(oracle, fidelity)
    ]
