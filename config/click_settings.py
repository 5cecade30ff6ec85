"""Settings of what tells that mails and browser notifications were opened: links that lead over us, and a picture in mails."""

from typing import Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.durations import Duration
from config.public_url import check_public_url
from config.section import Section

__all__ = ["ClickSettings", "OpenSettings"]

_MIN_SECRET_BYTES: Final = 32  # as long as the digest that it signs with


class _SignedLinkSettings(Section):
    """Where the world reaches us, and what the addresses it gets are signed with."""

    enabled: bool = False
    public_url: str = ""
    secret: SecretStr = Field(SecretStr(""), description="What the links are signed with; the same on every node.")
    previous_secret: SecretStr = Field(SecretStr(""), description="Opens links of before the secret was changed.")

    @property
    def secrets(self) -> tuple[bytes, ...]:
        """The secrets that are set; the first signs."""
        given = (self.secret.get_secret_value(), self.previous_secret.get_secret_value())
        return tuple(secret.encode() for secret in given if secret)

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return check_public_url(value)

    @model_validator(mode="after")
    def _are_complete(self) -> Self:
        if self.enabled and not (self.public_url and self.secret.get_secret_value()):
            raise ValueError("needs public_url and secret where it is enabled")
        for name in ("secret", "previous_secret"):
            given = getattr(self, name).get_secret_value().encode()
            if 0 < len(given) < _MIN_SECRET_BYTES:
                raise ValueError(f"{name} must be at least {_MIN_SECRET_BYTES} bytes")
        return self


class ClickSettings(_SignedLinkSettings):
    enabled: bool = Field(False, description="Lead links of mails and browser notifications over /c/, which records the click.")
    public_url: str = Field("", description="Where the world reaches /c/, such as https://notify.example.com.")
    hosts: tuple[str, ...] = Field((), description="Only links to these hosts are led over /c/; empty for all http and https.")


class OpenSettings(_SignedLinkSettings):
    """Whether mails tell that they were shown. Off unless somebody decides otherwise: readers do not see that it happens."""

    enabled: bool = Field(
        False, description="Put a picture of one pixel into mails that is fetched from /o/ when they are shown."
    )
    public_url: str = Field("", description="Where the world reaches /o/, such as https://notify.example.com.")
    counts_as_seen: bool = Field(
        False, description="Take it for seen, so that no further route is tried; else it is only written down."
    )
    ignore_within: Duration = Field(
        10.0,
        description="What the picture proxies of mail services fetch so soon after a mail was sent counts as fetched ahead.",
    )
