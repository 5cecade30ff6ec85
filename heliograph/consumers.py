"""The part of a process that takes calls of the API from logs."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry

from broker.engines.redis.address import parse_address
from broker.engines.redis.event_stream import EventStream
from broker.engines.redis.link import Link
from broker.errors import BadInput, Unavailable
from broker.event_source import EventSource
from broker.last_look import LastLook
from broker.store.outbox import OutboxTable
from config.clock import Clock
from config.consumer_settings import ConsumerSettings
from config.errors import SettingsError
from config.settings import Settings
from gateway.api.call import Calls
from gateway.consumers.consumer import Consumer
from gateway.consumers.metrics import Metrics
from gateway.consumers.verdict import RetryRule
from heliograph.ending import Ending
from heliograph.ground import Ground
from heliograph.tracing import consumer_of

__all__ = ["ConsumersPart", "make_source"]


class ConsumersPart:
    """The consumers that the settings list, each with its source."""

    def __init__(self, ground: Ground, calls: Calls) -> None:
        self.started = asyncio.Event()
        self._ended = asyncio.Event()
        self._metrics = Metrics(CollectorRegistry(), ground.clock)
        self._sources: list[tuple[str, str, EventSource]] = []
        self._consumers: list[Consumer] = []
        for number, entry in enumerate(ground.settings.consumers):
            if entry.enabled:
                path, section = f"consumers[{number}]", entry.type
                with _naming(path, section):
                    source = make_source(entry, ground.settings, ground.clock, ground.process_id)
                ground.resources.push_async_callback(source.close)
                self._sources.append((path, section, source))
                self._consumers.append(self._make(entry, source, calls, ground))

    async def open(self) -> None:
        """Look whether every source is what it should be.

        Raises:
            SettingsError: One is not, or does not answer; the line says which, without any password.
        """
        for path, section, source in self._sources:
            with _naming(path, section):
                await source.open()

    def looks(self) -> list[tuple[str, LastLook]]:
        """Tell what came of asking each source the last time, by the consumer's name."""
        return [(consumer.name, consumer.last) for consumer in self._consumers]

    async def run(self) -> None:
        REGISTRY.register(self._metrics.registry)
        try:
            async with asyncio.TaskGroup() as group:
                for consumer in self._consumers:
                    group.create_task(consumer.run(), name=f"consumer:{consumer.name}")
                self.started.set()
                await self._ended.wait()
        finally:
            REGISTRY.unregister(self._metrics.registry)

    async def stop(self, _ending: Ending) -> None:
        """Begin no further call, and settle those under way."""
        for consumer in self._consumers:
            consumer.stop()
        for consumer in self._consumers:
            await consumer.ended.wait()
        self._ended.set()

    def _make(self, entry: ConsumerSettings, source: EventSource, calls: Calls, ground: Ground) -> Consumer:
        rule = RetryRule(entry.retry_base, entry.retry_cap, entry.max_attempts)
        make = consumer_of(ground)
        return make(entry.name, source, calls, self._metrics, ground.clock, batch=entry.batch_size, rule=rule)


def make_source(entry: ConsumerSettings, settings: Settings, clock: Clock, process_id: str) -> EventSource:
    """Make what a consumer reads; nothing is opened yet.

    Raises:
        BadInput: Naming the setting below the consumer's.
        SettingsError: Naming `broker.url` where the address of a Redis is wrong, whoever it was given by.
    """
    if entry.type == "postgresql":
        outbox = entry.postgresql
        return OutboxTable(outbox.dsn.get_secret_value() or settings.store.url, outbox.outbox_table_name, clock)
    stream = entry.redis_stream
    broker = settings.broker.model_copy(
        update={"url": stream.address.get_secret_value() or settings.broker.url, "connections": 1}
    )
    return EventStream(
        Link(parse_address(broker), broker, clock),
        stream.stream,
        stream.consumer_group,
        process_id,
        clock,
        held_s=stream.visibility_timeout,
        trims=stream.trim,
    )


@contextmanager
def _naming(path: str, section: str) -> Iterator[None]:
    """Turn what a source says of itself into lines that name the consumer's setting."""
    try:
        yield
    except BadInput as exc:
        raise SettingsError([f"{path}.{section}.{exc.field}: {exc.rule}"]) from None
    except (Unavailable, SettingsError) as exc:
        lines = exc.problems if isinstance(exc, SettingsError) else [str(exc)]
        address = f"{path}.{section}.{'dsn' if section == 'postgresql' else 'address'}"
        raise SettingsError([f"{address}: {line.removeprefix('broker.url: ')}" for line in lines]) from None
