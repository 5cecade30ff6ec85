"""Settings of what notifications say: the language that stands in for others, and the way out of mails."""

import re
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator

from config.public_url import check_public_url
from config.section import Section

__all__ = ["TemplateSettings", "UnsubscribeSettings"]

_MIN_SECRET_BYTES = 32  # as long as the digest that it signs with


class TemplateSettings(Section):
    default_locale: str = Field(
        "en", description="Language of whoever names none that a template has; a template must have a text in it, or for all."
    )

    @field_validator("default_locale")
    @classmethod
    def _is_a_locale(cls, value: str) -> str:
        if value and not re.fullmatch(r"[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8}){0,3}", value):
            raise ValueError('must be a language such as "en" or "pt-BR", or empty for none')
        return value


class UnsubscribeSettings(Section):
    """Both are set, or neither; then mails name no way to be left alone."""

    public_url: str = Field("", description="Where the world reaches /unsubscribe/, such as https://notify.example.com.")
    secret: SecretStr = Field(SecretStr(""), description="What the links are sealed with; the same on every node, for good.")
    previous_secret: SecretStr = Field(SecretStr(""), description="Opens links of before the secret was changed.")

    @property
    def is_configured(self) -> bool:
        return bool(self.public_url)

    @field_validator("public_url")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        return check_public_url(value)  # RFC 8058 §3.1 asks for https

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        secret = self.secret.get_secret_value()
        if bool(self.public_url) != bool(secret):
            raise ValueError("public_url and secret go together: set both or neither")
        for name in ("secret", "previous_secret"):
            given = getattr(self, name).get_secret_value().encode()
            if 0 < len(given) < _MIN_SECRET_BYTES:
                raise ValueError(f"{name} must be at least {_MIN_SECRET_BYTES} bytes")
        return self
