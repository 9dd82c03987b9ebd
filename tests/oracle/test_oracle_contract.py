"""What every oracle must do, whichever properties it computes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from ase.build import bulk
from pymatgen.io.ase import AseAtomsAdaptor

from oracle.contract.evaluation import EVALUATION, Failed, Measured
from oracle.contract.protocol import Oracle
from oracle.green.oracle import GreenOracle
from oracle.green.settings import GreenSettings
from oracle.interface.oracle import InterfaceOracle
from oracle.interface.settings import InterfaceSettings
from oracle.materials.crystal import Crystal
from oracle.materials.interface import Interface
from oracle.materials.material import Material
from oracle.materials.superlattice import Stack, Superlattice
from oracle.phonon_bte.oracle import PhononBTE
from oracle.phonons.settings import PhononSettings
from oracle.replay.oracle import ReplayOracle
from oracle.runtime.context import Context

EMT = "ase.calculators.emt:EMT"


def _crystal(name: str, **how: Any) -> Crystal:
    return Crystal.from_structure(AseAtomsAdaptor.get_structure(bulk(name, **how)))


SILVER, COPPER, SILICON, GERMANIUM = map(_crystal, ("Ag", "Cu", "Si", "Ge"))
STACK = Stack(layers=(("G", GERMANIUM), ("S", SILICON)), leads=("S", "S"))


@pytest.fixture(scope="class")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("oracle")


@pytest.fixture(scope="class")
def measured(request: pytest.FixtureRequest, home: Path) -> Measured:
    contract = request.cls()
    evaluation = contract.make().evaluate(contract.material, context=Context(home))
    assert isinstance(evaluation, Measured), evaluation
    return evaluation


class OracleContract:
    """Inherited by the tests of each oracle, with a material it evaluates and one it refuses."""

    material: Material
    stranger: Material
    confirms = 2
    """Levels that tighten it further."""

    def make(self) -> Oracle:
        """A new oracle, equal to the last."""
        raise NotImplementedError

    def test_is_an_oracle(self) -> None:
        oracle = self.make()
        assert isinstance(oracle, Oracle)
        assert oracle.fidelity
        assert re.fullmatch("[0-9a-f]{64}", oracle.method_digest)
        assert self.make().method_digest == oracle.method_digest

    def test_says_what_was_measured_and_how(self, measured: Measured) -> None:
        oracle = self.make()
        assert measured.material == self.material
        assert (measured.fidelity, measured.method) == (oracle.fidelity, oracle.method_digest)
        assert measured.properties
        assert measured.cost_s >= 0

    def test_survives_json_to_the_last_bit(self, measured: Measured) -> None:
        again = EVALUATION.validate_json(measured.model_dump_json())
        assert again == measured

    def test_equal_in_a_home_of_its_own(self, measured: Measured, tmp_path: Path) -> None:
        again = self.make().evaluate(self.material, context=Context(tmp_path))
        assert isinstance(again, Measured)
        assert again.properties == measured.properties

    def test_equal_where_it_was_measured_before(self, measured: Measured, home: Path) -> None:
        again = self.make().evaluate(self.material, context=Context(home))
        assert isinstance(again, Measured)
        assert again.properties == measured.properties

    def test_what_it_does_not_measure_is_a_failure(self, tmp_path: Path) -> None:
        oracle = self.make()
        evaluation = oracle.evaluate(self.stranger, context=Context(tmp_path))
        assert isinstance(evaluation, Failed)
        assert evaluation.material == self.stranger
        assert (evaluation.fidelity, evaluation.method) == (oracle.fidelity, oracle.method_digest)
        assert "\n" not in evaluation.message

    def test_each_level_is_another_method(self) -> None:
        oracle = self.make()
        same = oracle.tightened(0)
        assert same is not None
        assert same.method_digest == oracle.method_digest
        methods = [oracle.method_digest]
        for level in range(1, self.confirms + 1):
            tight = oracle.tightened(level)
            assert isinstance(tight, Oracle)
            assert tight.fidelity == oracle.fidelity
            methods.append(tight.method_digest)
        assert len(set(methods)) == len(methods)


class TestReplay(OracleContract):
    material = Superlattice.from_sequence("0011")
    stranger = Superlattice.from_sequence("0101")
    confirms = 1

    def make(self) -> Oracle:
        return ReplayOracle(
            {self.material.digest: {"kappa": 3.5, "tight": 3.4}},
            fidelity="dft",
            property="kappa",
            column="kappa",
            confirm_column="tight",
            table_sha256="00",
        )

    def test_ends_where_nothing_confirms(self) -> None:
        assert self.make().tightened(2) is None


class TestPhononBTE(OracleContract):
    material = SILVER
    stranger = Superlattice.from_sequence("0101")

    def make(self) -> Oracle:
        return PhononBTE(
            PhononSettings(
                calculator=EMT,
                fc2_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 2)),
                fc3_supercell=((2, 0, 0), (0, 2, 0), (0, 0, 2)),
                mesh=(4, 4, 4),
                bands=False,
            )
        )


class TestPhononBTEHarmonic(TestPhononBTE):
    def make(self) -> Oracle:
        return PhononBTE(PhononSettings(calculator=EMT, fc2_length=6.0, bands=False), "harmonic")


class TestInterface(OracleContract):
    material = Interface(crystals=(SILVER, COPPER))
    stranger = SILVER

    def make(self) -> Oracle:
        return InterfaceOracle(
            InterfaceSettings(
                calculator=EMT,
                fc2_length=5.0,
                relax_fmax=1e-3,
                stability_spacing=0.3,
                overlap_spacing=0.4,
                mesh_spacing=0.3,
            )
        )


class TestGreen(OracleContract):
    material = Superlattice.from_sequence("SG", stack=STACK)
    stranger = SILICON

    @pytest.fixture(autouse=True)
    def _installed(self) -> None:
        pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")

    def make(self) -> Oracle:
        pytest.importorskip("matscipy", reason="the extra phonoscout[tersoff] is not installed")
        return GreenOracle(
            GreenSettings(frequencies=8, q_mesh=(2, 2), neighbours=0, in_plane_length=7.0)
        )
