"""Settings of who may do what: roles, and where policies come from."""

import re
from typing import Final, Self

from pydantic import Field, model_validator

from config.section import Section

__all__ = ["PolicySettings", "RoleSettings"]

_CLAIM: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class RoleSettings(Section):
    """A role that the API cannot change."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$", description="What claims and assignments call it.")
    permissions: tuple[str, ...] = Field(
        (),
        max_length=64,
        description='What it allows: actions and a pattern, such as "subscribe,publish docs:*", "history docs:{user}/*", '
        '"rpc billing.*", "call publish", "admin *".',
    )


class PolicySettings(Section):
    """Rules with conditions, beside those that the API keeps in the store."""

    file: str = Field("", description="TOML or JSON file of the policy; every node looks whether it changed. Empty: the API's.")
    claims: tuple[str, ...] = Field(
        (), max_length=32, description="Claims of connection tokens that conditions may ask for; no others are kept."
    )
    decision_cache: int = Field(10_000, ge=0, le=1_000_000, description="Decisions that each node remembers; 0 for none.")

    recheck_time: bool = Field(
        True,
        description="Whether subscriptions are judged again as each minute turns, while a rule about subscribing asks for the "
        "time; else such a rule ends none when its hour comes.",
    )

    @model_validator(mode="after")
    def _claims_are_names(self) -> Self:
        if len(set(self.claims)) != len(self.claims):
            raise ValueError("claims must not name one twice")
        if not all(_CLAIM.fullmatch(claim) for claim in self.claims):
            raise ValueError("claims must be names as conditions write them: letters, digits and _, not beginning with a digit")
        return self
