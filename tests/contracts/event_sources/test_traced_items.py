"""Items bring the trace of whoever wrote them, where they said one."""

from typing import Any

import pytest

from broker.store.outbox import OutboxTable

TRACE = f"00-{'a' * 32}-{'b' * 16}-01"


async def first_trace(source: Any) -> str:
    (item,) = await source.fetch(1)
    return str(item.trace)


@pytest.mark.redis
async def test_a_stream_s_entry_has_a_field_for_it(stream: Any) -> None:
    source = stream.make()
    await source.open()
    await stream.add_fields("method", "publish", "payload", "{}", "traceparent", TRACE)
    assert await first_trace(source) == TRACE
    await source.close()


@pytest.mark.postgres
async def test_an_outbox_may_have_a_column_for_it(outbox: Any) -> None:
    source: OutboxTable = outbox.make()
    await source.open()
    await outbox.add("publish", {})
    assert await first_trace(source) == ""
    await source.close()

    await outbox.connection.execute("ALTER TABLE app.outbox ADD COLUMN traceparent text")
    source = outbox.make()
    await source.open()
    assert await first_trace(source) == "", "NULL is nothing"
    await outbox.connection.execute("UPDATE app.outbox SET traceparent = $1", TRACE)
    await source.close()
    source = outbox.make()
    await source.open()
    assert await first_trace(source) == TRACE
    await source.close()
