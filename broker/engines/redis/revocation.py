"""Who is not let in: kept on the server, held in memory by every node, told at once.

Every change of the words on the server gives them the next number (lua/word_say.lua). A node that has heard of all numbers so
far holds what the server holds; one that has not finds so at its next check, at the latest a beat later, and reads all of them.
The numbers belong to a *life* of the words. A server that has lost them begins another life, or stands at an earlier number;
the nodes then say again what they hold, so that an emptied server lets nobody in who was kept out.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from itertools import islice
from typing import Final
from uuid import uuid4

import msgspec

from broker.engines.memory.words import Words
from broker.engines.redis.holdings import all_of
from broker.engines.redis.intercom import Intercom
from broker.engines.redis.link import Argument, Link
from broker.engines.redis.messages import Blocked, Older, Revoked, Say, Subject, encode
from broker.engines.redis.places import Places
from broker.engines.redis.scripts import load_script
from config.clock import Clock
from config.logs import get_logger

__all__ = ["RedisRevocation", "RevocationStatistics"]

_WORD_SAY: Final = load_script("word_say")

_log = get_logger()
# Words stay on the server for so long after their end: the nodes' clocks may differ.
_SLACK_S: Final = 300.0
_READ: Final = 1000
_SAID: Final = 100
# The order of words about so many users is remembered; all of it is on the server.
_ORDERED: Final = 10_000

_subjects = msgspec.msgpack.Decoder(Subject)
_Word = tuple[Subject, float, float]


class RevocationStatistics(msgspec.Struct, frozen=True):
    """How many words are held, and up to which version of those on the server none is missing."""

    held: int
    life: str
    number: int


class RedisRevocation:
    """The port Revocation."""

    def __init__(self, link: Link, places: Places, intercom: Intercom, clock: Clock, on_late: Callable[[], None]) -> None:
        """`on_late` is called when words were learnt that were missed when they were told."""
        self._on_late = on_late
        self._link, self._places, self._intercom, self._clock = link, places, intercom, clock
        self._words = Words(clock)
        self._life, self._number = "", 0
        self._ahead: set[int] = set()  # heard of before one of the numbers in between
        # Words about a user are the only ones whose order matters: the number of the last one, by user.
        self._blocks: dict[str, int] = {}
        self._meanwhile: list[Say] | None = None
        self._was_checked = False
        intercom.on(Say, self._hear)

    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        return self._words.is_revoked(user=user, token_id=token_id, issued_at=issued_at, channel=channel)

    def is_blocked(self, user: str) -> bool:
        return self._words.is_blocked(user)

    async def revoke_token(self, token_id: str, *, until: float) -> None:
        self._words.refuse_token(token_id, until=until)
        await self._tell(await self._say(Revoked(token_id), until, 0.0, "later"))

    async def revoke_user_tokens(self, user: str, *, issued_before: float, until: float, channel: str = "") -> None:
        self._words.refuse_older(user, channel, issued_before=issued_before, until=until)
        await self._tell(await self._say(Older(user, channel), until, issued_before, "later"))

    async def block_user(self, user: str, *, until: float) -> None:
        self._words.block(user, until=until)
        await self._tell(await self._say(Blocked(user), until, 0.0, "set"))

    async def unblock_user(self, user: str) -> None:
        self._words.unblock(user)
        await self._tell(await self._say(Blocked(user), 0.0, 0.0, "forget"))

    async def check(self) -> None:
        """Compare with the server, and read or say what is missing on either side; called at the start and at every beat.

        Raises:
            EngineUnavailable: The words may have changed unheard.
        """
        is_first, self._was_checked = not self._was_checked, True
        life, number = await self._version()
        if (life, number) == (self._life, self._number):
            return
        if self._life and (life != self._life or number < self._number):
            _log.warning("revocations.lost", held=len(self._words))
            await self._say_all()
        elif self._life:
            await self._version()  # a round trip, within which arrives what is only under way
            if self._number >= number:
                return
        await self._load()
        if not is_first:
            self._on_late()

    def statistics(self) -> RevocationStatistics:
        """Tell what is held."""
        return RevocationStatistics(len(self._words), self._life, self._number)

    async def _say(self, subject: Subject, until: float, since: float, how: str) -> Say:
        """Change the words on the server; answers what holds now."""
        keys = [self._places.words, self._places.word_ends, self._places.words_version]
        over = self._clock.now().timestamp() - _SLACK_S
        args: list[Argument] = [encode(subject), repr(until), repr(since), how, repr(over), uuid4().hex]
        life, number, word, _ = await self._link.run(_WORD_SAY, keys, args)
        until, since = _moments(word) if word else (0.0, 0.0)
        return Say(self._intercom.node_id, subject, until, since, life.decode(), number)

    async def _tell(self, say: Say) -> None:
        self._hear(say)
        await self._intercom.tell_all(say)

    def _hear(self, say: Say) -> None:
        """Take a word, at once even if earlier ones are missing: it can only keep out who is to be kept out."""
        if self._meanwhile is not None:
            self._meanwhile.append(say)
        if not self._life:
            self._life = say.life  # the first word of all
        if say.life == self._life and say.number > self._number:
            self._ahead.add(say.number)
            while self._number + 1 in self._ahead:
                self._number += 1
                self._ahead.discard(self._number)
        if isinstance(say.subject, Blocked) and not self._is_next(say.subject.user, say):
            return
        _apply(self._words, say.subject, say.until, say.since)

    def _is_next(self, user: str, say: Say) -> bool:
        """Tell whether a word about a user is not older than the last one heard."""
        if say.life == self._life and say.number < self._blocks.get(user, 0):
            return False
        if len(self._blocks) >= _ORDERED:
            self._blocks.clear()
        self._blocks[user] = say.number
        return True

    async def _load(self) -> None:
        """Read all words anew; those that are heard meanwhile count after them."""
        heard: list[Say] = []
        self._meanwhile = heard
        try:
            life, number = await self._version()
            words = Words(self._clock)
            async for subject, until, since in self._read():
                _apply(words, subject, until, since)
        finally:
            self._meanwhile = None
        self._words, self._life, self._number = words, life, number
        self._ahead.clear()
        self._blocks.clear()
        for say in sorted(heard, key=lambda say: say.number):
            self._hear(say)

    async def _read(self) -> AsyncIterator[_Word]:
        now, cursor = self._clock.now().timestamp(), b"0"
        while True:
            key = self._places.words
            cursor, found = await self._link.command("HSCAN", key, cursor, "COUNT", _READ, key=key)
            for field, word in zip(found[::2], found[1::2], strict=True):
                until, since = _moments(word)
                if now < until:
                    yield _subjects.decode(field), until, since
            if cursor == b"0":
                return

    async def _say_all(self) -> None:
        """Say again all that is held here: on the server the later of both counts."""
        words = _words_of(self._words)
        while batch := list(islice(words, _SAID)):
            await all_of(self._say(subject, until, since, "later") for subject, until, since in batch)

    async def _version(self) -> tuple[str, int]:
        key = self._places.words_version
        life, number = await self._link.command("HMGET", key, "life", "number", key=key)
        return (life or b"").decode(), int(number or 0)


def _apply(words: Words, subject: Subject, until: float, since: float) -> None:
    match subject:
        case Revoked(token_id):
            words.refuse_token(token_id, until=until)
        case Older(user, channel):
            words.refuse_older(user, channel, issued_before=since, until=until)
        case Blocked(user) if until:
            words.block(user, until=until)
        case Blocked(user):
            words.unblock(user)


def _words_of(words: Words) -> Iterator[_Word]:
    """Copy what is held, so that it may change while it is gone through."""
    tokens: list[_Word] = [(Revoked(token_id), until, 0.0) for token_id, until in words.tokens()]
    older: list[_Word] = [(Older(user, channel), until, since) for user, channel, since, until in words.bounds()]
    blocked: list[_Word] = [(Blocked(user), until, 0.0) for user, until in words.blocks()]
    return iter([*tokens, *older, *blocked])


def _moments(word: bytes) -> tuple[float, float]:
    until, since = word.split(b" ")
    return float(until), float(since)
