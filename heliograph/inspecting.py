"""What `heliograph token inspect` does: a token judged as a node with the same settings would, without one that runs."""

from broker.durable_revocation import DurableRevocation
from broker.engines.memory.revocation import MemoryRevocation
from broker.errors import BadInput, Unavailable
from broker.store.store import open_store, revisions_of
from config.clock import Clock, SystemClock
from config.logs import configure_logging
from config.settings import Settings
from gateway.auth.inspection import Inspection, inspect_token
from gateway.auth.verifiers import Verifiers

__all__ = ["inspect_with"]


async def inspect_with(settings: Settings, token: str) -> tuple[Inspection, list[str]]:
    """Judge a token; the second value is what must be said beside it.

    Raises:
        SettingsError: Certificates that are to be trusted cannot be read.
    """
    configure_logging("error", settings.log.format)  # what a node would log is told in words
    clock, client = SystemClock(), settings.client
    revocation, notes = MemoryRevocation(clock), list[str]()
    try:
        await _restore(revocation, settings, clock)
    except (BadInput, Unavailable) as exc:
        notes.append(f"whether it was revoked is not known here, for the store cannot be read: {exc}")
    if client.insecure_skip_token_signature_verify:
        notes.append("client.insecure_skip_token_signature_verify is on: signatures are not checked at all")
    verifiers = Verifiers(client, revocation, clock)
    try:
        return await inspect_token(token, verifiers, revocation, client.token.issue, clock), notes
    finally:
        await verifiers.close()


async def _restore(revocation: MemoryRevocation, settings: Settings, clock: Clock) -> None:
    """Read from the store who is not let in, and change nothing there."""
    url, store_settings = settings.store.url, settings.store.model_copy(update={"migrate": "never"})
    if not (await revisions_of(url, settings=store_settings)).agree:
        raise BadInput("store.url", "has no tables of this version")
    store = await open_store(url, clock=clock, settings=store_settings)
    try:
        await DurableRevocation(revocation, store.revocations).restore()
    finally:
        await store.close()
