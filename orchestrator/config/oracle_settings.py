"""Settings of any oracle, distinguished by their kind."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag

from oracle.contract.own_oracle import OwnOracleSettings
from oracle.green.settings import GreenSettings
from oracle.interface.settings import InterfaceSettings
from oracle.phonons.settings import PhononSettings
from oracle.replay.settings import ReplaySettings
from oracle.runtime.own_classes import NAMED, OWN, branch_of

OracleSettings = Annotated[
    PhononSettings | GreenSettings | InterfaceSettings | ReplaySettings,
    Field(discriminator="kind"),
]
"""Settings of the oracles that have a name."""
AnyOracleSettings = Annotated[
    Annotated[OracleSettings, Tag(NAMED)] | Annotated[OwnOracleSettings, Tag(OWN)],
    Discriminator(branch_of),
]
"""Settings of these, or of an oracle of the user's own."""
