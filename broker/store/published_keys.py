"""The keys that issuers were last seen to publish, on SQL."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, select, update

from broker.audit import Act
from broker.caller import SYSTEM
from broker.store import dialect
from broker.store.audit_trail import Trail
from broker.store.published_keys_table import PUBLISHED_KEYS

__all__ = ["SqlPublishedKeys"]

_K: Final = PUBLISHED_KEYS.c
_ONE: Final = select(_K.digests).where(_K.issuer == bindparam("of_issuer")).with_for_update()
_KEEP: Final = update(PUBLISHED_KEYS).where(_K.issuer == bindparam("of_issuer")).values(digests=bindparam("new_digests"))
_KEYS: Final = msgspec.json.Decoder(dict[str, str])
_encode: Final = msgspec.json.Encoder(order="deterministic").encode
_NAMELESS: Final = "(without kid)"


class SqlPublishedKeys:
    """Implements `broker.published_keys.PublishedKeys`."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail

    async def note(self, issuer: str, keys: Mapping[str, str]) -> bool:
        def work(connection: Connection) -> Sequence[Act]:
            # There is a row from here on, so that the first ones who note something take turns as well.
            insertion = dialect.upsert(connection, PUBLISHED_KEYS).values(issuer=issuer, digests=_encode({}))
            connection.execute(insertion.on_conflict_do_nothing())
            before = _read(connection.execute(_ONE, {"of_issuer": issuer}).scalar_one())
            if before == keys:
                return ()
            connection.execute(_KEEP, {"of_issuer": issuer, "new_digests": _encode(keys)})
            return (Act("issuer_keys.changed", f"issuer:{issuer}", details=_details(before, keys)),)

        acts = await self._trail.write(work, lambda acts: acts, by=SYSTEM)
        return bool(acts)


def _read(kept: bytes) -> Mapping[str, str]:
    """Read what was kept; what another version has kept otherwise is taken for nothing, and told anew rather than failed of."""
    try:
        return _KEYS.decode(kept)
    except msgspec.MsgspecError:
        return {}


def _details(before: Mapping[str, str], keys: Mapping[str, str]) -> Mapping[str, Any]:
    """Name what is different, without what there is none of."""
    changes = {
        "added": keys.keys() - before.keys(),
        "removed": before.keys() - keys.keys(),
        "replaced": {kid for kid in keys.keys() & before.keys() if keys[kid] != before[kid]},
    }
    named = {how: ", ".join(sorted(kid or _NAMELESS for kid in kids)) for how, kids in changes.items() if kids}
    return {**named, "kids": len(keys)}
