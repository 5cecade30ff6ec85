"""The API keys of the store as this process holds them: found by their text, without asking anybody.

All of them are held, for they are few (`broker.api_keys.KEYS_MAX`): a call costs no question to the store, an invented key
costs none either, and while the store is away the keys go on to count (*fail static*). `RuleWatch` reads them anew when they
change.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from broker.api_keys import ApiKey, ApiKeys, is_secret_of, split_key
from broker.caller import Actor, ActorKind
from broker.limits import Rate
from config.clock import Clock
from gateway.auth.patterns import BadPattern, Wildcard

__all__ = ["UNBOUND", "KeyBook", "Permit"]

# So often uses are written down, and no more exactly are they known.
_NOTED_EVERY: Final = timedelta(minutes=1)


class Permit(msgspec.Struct, frozen=True):
    """Who calls the API, and what they may call.

    Attributes:
        methods, channels: Patterns of what may be called and named; `channels` is None where any may be.
        rate: How often; None without a limit of its own.
        is_unbound: Everything may be called, and nothing is asked.
    """

    actor: Actor
    key_id: str = ""
    role: str = ""
    methods: tuple[Wildcard, ...] = ()
    channels: tuple[Wildcard, ...] | None = None
    rate: Rate | None = None
    is_unbound: bool = False


# Whoever calls from within.
UNBOUND: Final = Permit(Actor(ActorKind.SYSTEM), is_unbound=True)


class _Held(msgspec.Struct, frozen=True):
    key: ApiKey
    permit: Permit


class KeyBook:
    """The keys in force."""

    def __init__(self, store: ApiKeys, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._held_by_id: dict[str, _Held] = {}
        self._used_at_by_id: dict[str, datetime] = {}
        self._noted_at = clock.now()

    def __len__(self) -> int:
        return len(self._held_by_id)

    async def load(self) -> None:
        """Read the keys of the store.

        Raises:
            StoreUnavailable: It does not answer; the keys held go on to count.
        """
        self.replace(await self._store.all())

    def replace(self, keys: Sequence[ApiKey]) -> None:
        """Hold these keys and no others."""
        self._held_by_id = {key.id: _Held(key, _permit(key)) for key in keys}

    def find(self, text: str) -> Permit | None:
        """Tell whose key a text is; None where it is none, or none any more."""
        split = split_key(text)
        held = self._held_by_id.get(split[0]) if split is not None else None
        if split is None or held is None:
            return None
        now = self._clock.now()
        ends_at = held.key.grant.expires_at
        if not is_secret_of(held.key, split[1], now) or (ends_at is not None and now >= ends_at):
            return None
        self._used_at_by_id[split[0]] = now
        return held.permit

    async def note_uses(self) -> None:
        """Write down when keys were used, once a minute; to be called now and then.

        Raises:
            StoreUnavailable: It does not answer; they are written down later.
        """
        now = self._clock.now()
        if not self._used_at_by_id or now - self._noted_at < _NOTED_EVERY:
            return
        uses, self._used_at_by_id, self._noted_at = self._used_at_by_id, {}, now
        try:
            await self._store.note_use(uses)
        except BaseException:
            self._used_at_by_id = {**uses, **self._used_at_by_id}
            raise


def _permit(key: ApiKey) -> Permit:
    grant = key.grant
    return Permit(
        Actor(ActorKind.API_KEY, grant.name),
        key.id,
        grant.role,
        _wildcards(grant.methods),
        _wildcards(grant.channels) if grant.channels else None,
        Rate(grant.rate_per_s, max(1, grant.burst)) if grant.rate_per_s > 0 else None,
    )


def _wildcards(patterns: Sequence[str]) -> tuple[Wildcard, ...]:
    """Make patterns; one that this version cannot read fits nothing."""
    made = []
    for pattern in patterns:
        try:
            made.append(Wildcard(pattern))
        except BadPattern:
            continue
    return tuple(made)
