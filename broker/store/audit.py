"""The audit on SQL: a queue in memory, a table where records wait, a chain. See `audit_sealing` for how these lead on.

It owns one task, which sleeps until something was recorded and then writes everything down at once.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Final

from sqlalchemy import Connection

from broker.audit import Act, Anchor, AuditFilter, AuditRecord, AuditStatistics, Decision, SealedRecord, Verification
from broker.audit_chain import Signer
from broker.audit_queue import AuditQueue
from broker.caller import SYSTEM, Caller, caller
from broker.errors import StoreUnavailable
from broker.outage import Outage
from broker.store.audit_sealing import has_pending, lock_chain, read_head, seal
from broker.store.audit_search import check_filter, find, read_chain, read_cursor
from broker.store.audit_shortening import forget_subject, sweep
from broker.store.audit_trail import Trail
from broker.store.audit_verifying import Look, Start, read_piece, read_start
from broker.store.database import Database
from config.audit_settings import AuditSettings
from config.clock import Clock
from config.logs import get_logger

__all__ = ["SqlAudit"]

_log = get_logger()

# How many records a transaction writes: some 10 ms, so that nobody else waits for long.
_PIECE: Final = 500
# How many a look reads at once: hashing them keeps the loop for a few ms.
_READ: Final = 200
_TRIES: Final = 3
_LAST_WORDS_S: Final = 2.0


class SqlAudit:
    """Implements `broker.audit.Audit`."""

    def __init__(self, database: Database, clock: Clock, trail: Trail, settings: AuditSettings) -> None:
        self._database, self._clock, self._trail, self._settings = database, clock, trail, settings
        self._signer = Signer(settings.keys)
        self._queue = AuditQueue(settings.queue_size)
        self._outage = Outage("audit", clock)
        self._recorded: Counter[str] = Counter()
        self._is_failing = self._is_closed = False
        self._wanted = asyncio.Event()
        self._head_logged_at: float | None = None
        self._verified_at, self._verified_whole = 0.0, True
        self._task: asyncio.Task[None] | None = None
        trail.appended = self._appended

    def begin(self, node: str) -> None:
        """Say which node this is, and that it has started; what was left by one that was killed is sealed along with it."""
        self._trail.node = self._queue.node = node
        self.record(Act("process.started", decision=Decision.NOTED), by=SYSTEM)

    def record(self, act: Act, *, by: Caller | None = None) -> None:
        if not self._settings.enabled or self._is_closed:
            return
        who = caller() if by is None else by
        if self._queue.add(act, who, lambda: self._trail.record_of(act, by=who)):
            self._wake()

    async def change(self, act: Act, *, by: Caller | None = None) -> None:
        if not self._settings.enabled:
            return
        if self._settings.on_failure == "continue":
            self.record(act, by=by)
            return
        record = self._trail.record_of(act, by=by)
        await self._database.write(lambda connection: self._trail.append(connection, [record]))
        self._appended([act])

    async def settle(self) -> None:
        while not self._queue.is_empty:
            await self._write_queue()
        while await self._database.write(self._seal) == _PIECE:
            pass

    async def search(self, wanted: AuditFilter, *, before: str = "", limit: int) -> tuple[Sequence[SealedRecord], str]:
        check_filter(wanted)
        return await self._database.read(partial(find, wanted=wanted, before=read_cursor(before), limit=limit))

    async def read(self, after: int, *, limit: int) -> Sequence[SealedRecord]:
        return await self._database.read(partial(read_chain, after=after, limit=limit))

    async def head(self) -> Anchor:
        head, _ = await self._database.read(read_head)
        return head

    async def verify(self, anchor: Anchor | None = None) -> Verification:
        verification = await self._look(anchor)
        self._verified_at, self._verified_whole = self._clock.now().timestamp(), verification.is_whole
        return verification

    async def sweep(self, *, before: datetime, limit: int) -> int:
        now, node = self._clock.now(), self._trail.node
        work = partial(sweep, signer=self._signer, before=before, limit=limit, now=now, node=node)
        return await self._database.write(work)

    def statistics(self) -> AuditStatistics:
        return AuditStatistics(
            recorded=dict(self._recorded),
            queued=len(self._queue),
            dropped=self._queue.dropped,
            failing=self._is_failing,
            verified_at=self._verified_at,
            verified_whole=self._verified_whole,
        )

    def forget(self, connection: Connection, user: str, erased: AuditRecord) -> None:
        """Within the transaction of an erasure, before the row that leads to the user is removed."""
        forget_subject(connection, self._signer, self._trail, user, erased)

    async def close(self) -> None:
        """Write down what is left, if the store answers; may come twice."""
        if self._is_closed:
            return
        if self._trail.node:
            self.record(Act("process.stopped", decision=Decision.NOTED), by=SYSTEM)
        self._is_closed = True
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.wait({self._task})
        try:
            async with asyncio.timeout(_LAST_WORDS_S):
                if not self._is_failing:
                    await self.settle()
        except (StoreUnavailable, TimeoutError):
            pass
        if not self._queue.is_empty:
            _log.error("audit.lost", records=len(self._queue))

    def _wake(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="store:audit")
        self._wanted.set()

    def _appended(self, acts: Sequence[Act]) -> None:
        """Something waits to be sealed."""
        self._recorded.update(str(act.decision) for act in acts)
        if acts and not self._is_closed:
            self._wake()

    async def _run(self) -> None:
        pause_s = self._settings.flush_interval
        while True:
            await self._wanted.wait()
            await self._clock.sleep(pause_s)
            self._wanted.clear()
            try:
                await self.settle()
                self._note_success()
                pause_s = self._settings.flush_interval
                await self._log_head()
            except StoreUnavailable as exc:
                pause_s = max(self._settings.flush_interval, self._outage.failed(exc))
                self._is_failing = True
                self._wanted.set()

    def _note_success(self) -> None:
        self._is_failing = False
        self._outage.ended()

    async def _write_queue(self) -> None:
        taken = self._queue.take(_PIECE, self._clock.now())
        try:
            await self._database.write(lambda connection: self._trail.append(connection, taken.records))
        except BaseException:
            self._queue.give_back(taken)
            raise
        for record in taken.records:
            self._recorded[record.act.decision] += int(record.act.details.get("count", 1))

    def _seal(self, connection: Connection) -> int:
        if not has_pending(connection):
            return 0
        lock_chain(connection)
        return seal(connection, self._signer, limit=_PIECE)

    async def _log_head(self) -> None:
        """Tell the newest hash where whoever can write the store cannot take it back."""
        now = self._clock.monotonic()
        if self._head_logged_at is None or now - self._head_logged_at >= self._settings.head_interval:
            self._head_logged_at = now
            _log.info("audit.head", anchor=str(await self.head()))

    async def _look(self, anchor: Anchor | None) -> Verification:
        for _ in range(_TRIES):
            start = await self._database.read(read_start)
            verification = await self._look_from(start, anchor)
            if verification.is_whole or (await self._database.read(read_start)).base == start.base:
                break
        return verification

    async def _look_from(self, start: Start, anchor: Anchor | None) -> Verification:
        look = Look(start, self._signer, anchor, unsigned_through=self._settings.unsigned_through)
        while True:
            piece = await self._database.read(partial(read_piece, after=look.after, last=start.last, limit=_READ))
            if not piece.rows:
                return look.end()
            look.take(piece)
            await asyncio.sleep(0)
