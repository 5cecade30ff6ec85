"""What a database refuses is a bug of ours, and is logged: without what was to be stored, such as tokens and addresses."""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from broker.store.schema import DEVICES
from broker.store.store import Store


async def test_an_error_does_not_tell_what_was_to_be_stored(store: Store) -> None:
    row: dict[str, Any] = dict.fromkeys(("user", "platform", "locale", "timezone", "app"), "ann")
    row |= {"id": "d1", "provider": "email", "token_digest": b"digest", "token": "ann@example.org", "registered_at": 1}
    with pytest.raises(IntegrityError) as refused:
        await store.devices._database.write(  # type: ignore[attr-defined]  # (no port stores a device twice)
            lambda connection: connection.execute(insert(DEVICES), [row, row])
        )
    assert "INSERT INTO devices" in str(refused.value)
    assert "example" not in str(refused.value)
