"""Settings of clicks: whether links in mails and browser notifications tell that they were opened."""

from typing import Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.public_url import check_public_url
from config.section import Section

__all__ = ["ClickSettings"]

_MIN_SECRET_BYTES: Final = 32  # as long as the digest that it signs with


class ClickSettings(Section):
    enabled: bool = Field(False, description="Lead links of mails and browser notifications over /c/, which records the click.")
    public_url: str = Field("", description="Where the world reaches /c/, such as https://notify.example.com.")
    secret: SecretStr = Field(SecretStr(""), description="What the links are signed with; the same on every node.")
    previous_secret: SecretStr = Field(SecretStr(""), description="Opens links of before the secret was changed.")
    hosts: tuple[str, ...] = Field((), description="Only links to these hosts are led over /c/; empty for all http and https.")

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
