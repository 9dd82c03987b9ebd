"""Settings of any oracle, told apart by their kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from oracle.green.settings import GreenSettings
from oracle.interface.settings import InterfaceSettings
from oracle.phonons.settings import PhononSettings
from oracle.replay.settings import ReplaySettings

OracleSettings = Annotated[
    PhononSettings | GreenSettings | InterfaceSettings | ReplaySettings,
    Field(discriminator="kind"),
]
