"""The parts that the two addresses choose by their schemes: the real-time engine and the durable store."""

from urllib.parse import urlsplit

from broker.durable_revocation import DurableRevocation
from broker.engines.engine import Engine
from broker.engines.memory.engine import MemoryEngine
from broker.engines.redis.engine import RedisEngine
from broker.errors import BadInput, StoreUnavailable, Unavailable
from broker.store.store import Store, open_store
from config.clock import Clock
from config.errors import SettingsError
from config.settings import Settings

__all__ = ["make_engine", "open_durable_store", "restore_revocations", "start_engine"]


def make_engine(settings: Settings, clock: Clock) -> Engine:
    """Make the real-time engine that `broker.url` names.

    Raises:
        SettingsError: No engine has this scheme, or its address is wrong.
    """
    scheme = urlsplit(settings.broker.url).scheme
    if scheme == "memory":
        return MemoryEngine(clock)
    if scheme.partition("+")[0] in ("redis", "rediss"):
        return RedisEngine.of(settings.broker, clock)
    raise SettingsError([f"broker.url: no engine for {scheme}://; there are memory:// and redis://"])


async def start_engine(engine: Engine) -> None:
    """Start the engine.

    Raises:
        SettingsError: What it stands on does not answer, or is not what it needs; the line says so without any password.
    """
    try:
        await engine.start()
    except (BadInput, Unavailable) as exc:
        text = str(exc).removeprefix("broker.url: ")
        raise SettingsError([f"broker.url: {text}"]) from None


async def restore_revocations(revocation: DurableRevocation) -> None:
    """Say again who is not let in, where the engine has forgotten it.

    Raises:
        SettingsError: Engine or store does not answer: nobody may be let in.
    """
    try:
        await revocation.restore()
    except Unavailable as exc:
        raise SettingsError([f"revocations could not be read: {exc}"]) from None


async def open_durable_store(settings: Settings, clock: Clock) -> Store:
    """Open the store that `store.url` names, its tables up to date.

    Raises:
        SettingsError: It cannot be opened; the line says why without the address's password.
    """
    try:
        return await open_store(
            settings.store.url,
            clock=clock,
            idempotency_ttl_s=settings.notifications.idempotency_ttl,
            events=settings.notifications.status_webhook.chosen,
            settings=settings.store,
            audit=settings.audit,
            keeps_habits=settings.notifications.habits.enabled,
            timezone=settings.notifications.timezone,
        )
    except (BadInput, StoreUnavailable) as exc:
        text = str(exc).removeprefix("store.url: ")
        raise SettingsError([f"store.url: {text}"]) from None
