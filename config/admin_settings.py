"""Settings of the operator's page at /admin."""

import re
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from config.durations import Duration
from config.section import Section

__all__ = ["PASSWORD_HASH", "AdminSettings", "AdminUserSettings"]

# What `heliograph admin hash-password` prints (`gateway.admin.passwords`): scrypt$log2(n)$r$p$salt$digest.
PASSWORD_HASH = re.compile(r"scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9_-]{22,})\$([A-Za-z0-9_-]{43})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_LEAST_SECRET_BYTES = 32
# Beyond it one login would need a gigabyte of memory: 128 bytes · 2^log2(n) · r.
_MEMORY_MAX_BYTES = 1 << 30


class AdminUserSettings(Section):
    """Somebody who may log in at /admin."""

    name: str = Field(description="Name of the operator, in the login and in the audit.")
    password_hash: SecretStr = Field(description="What `heliograph admin hash-password` prints.")
    role: Literal["read", "operator"] = Field("read", description='"read" sees everything; "operator" also acts.')

    @field_validator("name")
    @classmethod
    def _is_a_name(cls, value: str) -> str:
        if _NAME.fullmatch(value) is None:
            raise ValueError("must be 1 to 64 letters, digits, or any of . _ @ -, and begin with a letter or digit")
        return value

    @field_validator("password_hash")
    @classmethod
    def _is_a_hash(cls, value: SecretStr) -> SecretStr:
        found = PASSWORD_HASH.fullmatch(value.get_secret_value())
        if found is None:
            raise ValueError("must be what `heliograph admin hash-password` prints")
        log_n, r, p = (int(found[number]) for number in (1, 2, 3))
        if not (1 <= log_n <= 24 and r and p and (128 * r << log_n) <= _MEMORY_MAX_BYTES):
            raise ValueError("asks for more work than a login is worth, or for none")
        return value


class AdminSettings(Section):
    """The operator's page; off unless it is enabled, and then nobody but its users gets in."""

    enabled: bool = Field(False, description="Serve /admin, on the operators' port where there is one.")
    users: tuple[AdminUserSettings, ...] = Field((), description="Who may log in.")
    secret: SecretStr = Field(
        SecretStr(""),
        description="Signs sessions; at least 32 bytes, the same on every node. Another one ends all sessions.",
    )
    session_ttl: Duration = Field(28_800.0, ge=60, le=604_800.0, description="How long a login lasts.")
    origin: str = Field(
        "",
        description="Where browsers find the page, such as https://ops.example.com; needed behind a proxy that ends TLS. If "
        "empty, it is served over TLS by this process, or to this machine alone.",
    )

    @field_validator("users")
    @classmethod
    def _names_differ(cls, value: tuple[AdminUserSettings, ...]) -> tuple[AdminUserSettings, ...]:
        names = [user.name for user in value]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise ValueError(f"two of them have the name {twice!r}")
        return value

    @field_validator("origin")
    @classmethod
    def _is_an_origin(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or value != f"{parts.scheme}://{parts.netloc}":
                raise ValueError("must be a scheme and a host without a path, such as https://ops.example.com")
            if parts.username is not None or value != value.lower():
                raise ValueError("must be in lower case, and name nobody")
        return value

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not self.enabled:
            return self
        if not self.users:
            raise ValueError("users: somebody must be able to log in where enabled is true")
        if len(self.secret.get_secret_value().encode()) < _LEAST_SECRET_BYTES:
            raise ValueError(f"secret: must be at least {_LEAST_SECRET_BYTES} bytes where enabled is true")
        return self
