"""Whose token it is: the claim `iss`, read unverified, chooses the issuer, and only that one's keys and rules count for it.

A token that names no issuer of ours belongs to the one of the section itself, which may demand an `iss` or not. Choosing
believes nothing: a token that names an issuer is held against that issuer's keys, and its `iss` is read again once its
signature holds.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from jwt.utils import base64url_decode

from config.clock import Clock
from config.egress import Pins
from config.errors import SettingsError
from config.token_settings import ConnectionTokenSettings, IssuerKeys, IssuerSettings, TokenSettings
from gateway.auth.jwks_client import JwksClient
from gateway.auth.key_source import KeySource
from gateway.auth.keys import TOKEN_MAX_BYTES, Keyring
from gateway.auth.shared_keys import SharedDocuments

__all__ = ["DEFAULT", "OWN", "Issuer", "Issuers"]

DEFAULT: Final = "default"
OWN: Final = "own"


class Issuer(msgspec.Struct, frozen=True):
    """One issuer: its keys, and what its tokens must say; `issuer` and `audience` are "" where nothing is demanded, and
    `roles_claim` where it is not believed about roles."""

    name: str
    keyring: Keyring
    issuer: str = ""
    audience: str = ""
    user_claim: str = "sub"
    user_prefix: str = ""
    roles_claim: str = ""


class Issuers:
    """The issuers of one section of the settings.

    Args:
        shared: What nodes of the fleet have fetched; None where they do not share it.
    Raises:
        SettingsError: Certificates to trust cannot be read.
    """

    def __init__(
        self,
        settings: TokenSettings,
        clock: Clock,
        *,
        section: str = "client.token",
        shared: SharedDocuments | None = None,
    ) -> None:
        self._clock, self._pins, self._shared = clock, Pins(clock), shared
        # One name stands for one issuer in logs and metrics, also where both sections have the same.
        self._prefix = "" if section == "client.token" else "subscription:"
        self.sources: list[KeySource] = []
        self.default = self._issuer(DEFAULT, settings, section)
        self._named: Mapping[str, Issuer] = {
            one.issuer: self._issuer(one.name, one, f"{section}.issuers[{number}]")
            for number, one in enumerate(settings.issuers)
        }
        if isinstance(settings, ConnectionTokenSettings) and settings.issue.enabled:
            own = Issuer(OWN, Keyring.of_own(settings.issue), settings.issue.issuer, roles_claim=settings.roles_claim)
            self._named = {**self._named, own.issuer: own}

    def add(self, issuer: Issuer) -> None:
        """Take one more, known by what its tokens call it, that no settings name."""
        self._named = {**self._named, issuer.issuer: issuer}

    def of(self, token: str) -> Issuer:
        """Tell whose token it says it is."""
        if not self._named:
            return self.default
        return self._named.get(_issuer_named(token), self.default)

    @property
    def all(self) -> Sequence[Issuer]:
        """The issuers, the one of the section itself first."""
        return [self.default, *self._named.values()]

    async def prepare(self, token: str) -> None:
        """Wait for a key that its issuer may publish and that is not held yet.

        Raises:
            KeysUnavailable: The issuer does not say which keys it has.
        """
        if self.sources and token:
            await self.of(token).keyring.prepare(token)

    async def run(self) -> None:
        """Keep the published keys fresh, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for source in self.sources:
                    group.create_task(source.run(), name=f"keys:{source.name}")
        finally:
            await self.close()

    async def close(self) -> None:
        """End what is under way; may come twice."""
        for source in self.sources:
            await source.close()
        await self._pins.close()

    def _issuer(self, name: str, settings: IssuerKeys, path: str) -> Issuer:
        return Issuer(
            name,
            Keyring(settings, self._source(name, settings, path)),
            settings.issuer,
            settings.audience,
            settings.user_id_claim,
            settings.user_prefix if isinstance(settings, IssuerSettings) else "",
            settings.roles_claim,
        )

    def _source(self, name: str, settings: IssuerKeys, path: str) -> KeySource | None:
        if not settings.jwks_url:
            return None
        try:
            client = JwksClient(settings, self._pins)
        except OSError as exc:
            raise SettingsError([f"{path}.jwks_ca_file: cannot be read: {exc.strerror or exc}"]) from None
        source = KeySource(
            self._prefix + name,
            client.fetch,
            self._clock,
            refresh_s=settings.jwks_refresh,
            address=settings.jwks_url,
            shared=self._shared,
        )
        self.sources.append(source)
        return source


class _Named(msgspec.Struct):
    iss: str = ""


_named = msgspec.json.Decoder(_Named)


def _issuer_named(token: str) -> str:
    """Read `iss` without believing it; "" where there is none that can be read."""
    if len(token) > TOKEN_MAX_BYTES:
        return ""
    try:
        return _named.decode(base64url_decode(token.split(".")[1])).iss
    except (ValueError, IndexError, RecursionError, msgspec.MsgspecError):
        return ""
