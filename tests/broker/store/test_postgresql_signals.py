"""Signals where nobody answers: they wait, and harm nothing."""

import asyncio

import pytest
from structlog.testing import capture_logs

from broker.store.postgresql_signals import PostgresSignals
from config.clock import ManualClock

REFUSED = {"host": "127.0.0.1", "port": 1, "user": "u", "password": "s3cret", "database": "d"}


@pytest.fixture
async def signals(clock: ManualClock) -> PostgresSignals:
    return PostgresSignals(REFUSED, clock, connect_timeout_s=2.0)


async def test_a_server_that_is_away_is_tried_again_with_patience(signals: PostgresSignals, clock: ManualClock) -> None:
    with capture_logs() as logs:
        await signals.tried()
        async with asyncio.timeout(20):
            for _ in range(5):
                await clock.advance(5.0)
        await signals.close()
    assert [entry["event"] for entry in logs] == ["outage.began"]
    assert "s3cret" not in str(logs)


async def test_telling_to_nobody_is_no_error_and_bounded(signals: PostgresSignals) -> None:
    await signals.tried()
    signals.tell_work()
    for number in range(6000):
        signals.tell_ended(f"n{number}")
    await signals.close()
    await signals.close()
