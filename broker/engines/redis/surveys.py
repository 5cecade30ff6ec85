"""Questions to all nodes: asked on the channel that all hear, answered on the asker's own.

A survey ends as soon as every living node has answered, or at its deadline with what has come by then. A long answer does not
travel through pub/sub, where a reader that is slow for a moment is cut off: it lies on the server in parts, and the asker
fetches one after the other.
"""

import asyncio
from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Final

import msgspec

from broker.engines.redis.holdings import all_of
from broker.engines.redis.intercom import Intercom
from broker.engines.redis.leases import Leases
from broker.engines.redis.link import Link
from broker.engines.redis.messages import Answer, Ask, Question
from broker.engines.redis.places import Places
from config.clock import Clock
from config.logs import get_logger

__all__ = ["DEADLINE_S", "Surveys"]

DEADLINE_S: Final = 2.0

_log = get_logger()
# Parts that nobody fetched go by themselves.
_PARTS_KEPT_S: Final = 10
# So many parts are laid down or fetched at once.
_AT_ONCE: Final = 8
# So many questions wait to be answered; one beyond them is passed over, and its asker ends at its deadline.
_QUESTIONS: Final = 1000


class Surveys:
    """Asks, and answers with what `answer` gives: one or more parts, each encoded when its turn comes."""

    def __init__(
        self,
        link: Link,
        places: Places,
        leases: Leases,
        intercom: Intercom,
        clock: Clock,
        answer: Callable[[Question, str], Iterator[bytes]],
    ) -> None:
        self._link, self._places, self._leases, self._intercom = link, places, leases, intercom
        self._clock, self._answer = clock, answer
        self._number = 0
        self._arrived: dict[int, asyncio.Queue[Answer]] = {}
        self._asked: asyncio.Queue[Ask] = asyncio.Queue(_QUESTIONS)
        intercom.on(Ask, self._note_question)
        intercom.on(Answer, self._note_answer)

    async def ask(self, question: Question, take: Callable[[bytes], None], *, user: str = "") -> None:
        """Ask all other living nodes; `take` gets each part of what they answer.

        Raises:
            EngineUnavailable: They could not be asked.
        """
        self._number += 1
        survey = self._number
        self._arrived[survey] = asyncio.Queue()
        deadline = asyncio.ensure_future(self._clock.sleep(DEADLINE_S))  # owned here: cancelled below
        try:
            await self._leases.look()
            missing = set(self._leases.nodes - {self._leases.node_id})
            if missing:
                await self._intercom.tell_all(Ask(self._leases.node_id, survey, question, user))
                await self._collect(survey, missing, take, deadline)
        finally:
            deadline.cancel()
            del self._arrived[survey]
        if missing:
            _log.warning("survey.incomplete", question=question.value, missing=sorted(missing))

    async def work(self) -> None:
        """Answer what others ask, for as long as it is not cancelled."""
        while True:
            ask = await self._asked.get()
            try:
                await self._reply(ask)
            except Exception as exc:  # the edge of one question: its asker ends at its deadline
                _log.warning("survey.not_answered", question=ask.question.value, reason=str(exc))

    async def _collect(
        self, survey: int, missing: set[str], take: Callable[[bytes], None], deadline: asyncio.Future[None]
    ) -> None:
        """Take answers until none is missing; at the deadline, those that have come. Strikes off who answered."""
        arrived = self._arrived[survey]
        while missing:
            if arrived.empty():
                arriving = asyncio.ensure_future(arrived.get())  # owned here: awaited or cancelled below
                try:
                    await asyncio.wait((arriving, deadline), return_when=asyncio.FIRST_COMPLETED)
                    if not arriving.done():
                        return
                    answer = arriving.result()
                finally:
                    arriving.cancel()
            else:
                answer = arrived.get_nowait()
            missing.discard(answer.sender)
            try:
                await self._take(answer, take)
            except msgspec.DecodeError as exc:  # of a version that answers otherwise
                _log.warning("survey.not_understood", node=answer.sender, reason=str(exc))

    async def _take(self, answer: Answer, take: Callable[[bytes], None]) -> None:
        """Take an answer whole, also if that goes beyond the deadline: each step of it is bounded."""
        if not answer.parts:
            take(answer.body)
            return
        key = self._places.answer(answer.sender, self._leases.node_id, answer.survey)
        while parts := await self._link.command("LPOP", key, _AT_ONCE, key=key):
            for part in parts:
                take(part)

    async def _reply(self, ask: Ask) -> None:
        me = self._leases.node_id
        parts = self._answer(ask.question, ask.user)
        first, second = next(parts), next(parts, None)
        if second is None:
            await self._intercom.tell(ask.sender, Answer(me, ask.survey, first))
            return
        key, count = self._places.answer(me, ask.sender, ask.survey), 0
        rest = chain((first, second), parts)
        while batch := tuple(islice(rest, _AT_ONCE)):
            pushed = self._link.command("RPUSH", key, *batch, key=key)
            count, _ = await all_of((pushed, self._link.command("EXPIRE", key, _PARTS_KEPT_S, key=key)))
        await self._intercom.tell(ask.sender, Answer(me, ask.survey, parts=count))

    def _note_question(self, ask: Ask) -> None:
        if self._asked.full():
            _log.warning("survey.not_answered", question=ask.question.value, reason="too many questions")
            return
        self._asked.put_nowait(ask)

    def _note_answer(self, answer: Answer) -> None:
        if (arrived := self._arrived.get(answer.survey)) is not None:  # else too late
            arrived.put_nowait(answer)
