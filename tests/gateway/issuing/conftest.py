"""A service that issues tokens, on a store in a file and a memory engine's revocations."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from broker.control import Command, Distrust
from broker.durable_revocation import DurableRevocation
from broker.engines.memory.revocation import MemoryRevocation
from broker.store.store import Store, open_store
from config.clock import ManualClock
from config.token_settings import ConnectionTokenSettings
from gateway.auth.tokens import TokenVerifier
from gateway.issuing.service import Pair, TokenService

SIGNING_KEY = "the key that signs our own tokens, long enough"


class Told:
    """The part of the port Control that is used: remembers what the nodes were told."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    async def send(self, command: Command) -> None:
        self.commands.append(command)

    @property
    def distrusted(self) -> list[str]:
        return [command.token_id for command in self.commands if isinstance(command, Distrust)]


class Issuer:
    """The service and what it stands on."""

    def __init__(self, store: Store, clock: ManualClock) -> None:
        self.store, self.clock, self.told = store, clock, Told()
        self.revocation = DurableRevocation(MemoryRevocation(clock), store.revocations)
        self.make()

    def make(self, *, families: Any = None, **issue: Any) -> TokenService:
        """Make the service anew, with other settings or with another place for families."""
        chosen = {"enabled": True, "signing_key": SIGNING_KEY} | issue
        settings = ConnectionTokenSettings.model_validate({"hmac_secret_key": "the secret of another issuer", "issue": chosen})
        self.verifier = TokenVerifier(settings, revocation=self.revocation, clock=self.clock)
        self.service = TokenService(
            settings.issue,
            families or self.store.token_families,
            self.verifier,
            self.revocation,
            self.told,
            self.clock,
            self.store.audit,
        )
        return self.service

    async def issue(self, user: str = "ann", claims: bytes = b"", ttl_s: float = 0.0) -> Pair:
        return await self.service.issue(user, msgspec.Raw(claims), ttl_s)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def issuer(store_file: Path, clock: ManualClock) -> AsyncIterator[Issuer]:
    store = await open_store(f"sqlite:///{store_file}", clock=clock)
    yield Issuer(store, clock)
    await store.close()


@pytest.fixture
def private_pem() -> Callable[[Any], str]:
    """Write a private key."""
    return lambda key: key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
