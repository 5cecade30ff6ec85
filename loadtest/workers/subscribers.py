"""A worker's share of the swarm: opens clients at the asked pace, counts, and judges at the end."""

import asyncio
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable

import jwt

from loadtest.client import SwarmClient, make_hello, make_upgrade
from loadtest.failures import describe_failure
from loadtest.histogram import Histogram
from loadtest.messages import Finish, Measure, Open, Opened, Prepared, SubscriberPart, SubscribersFinal
from loadtest.sequences import Findings, SequenceCheck, SourceTotal
from loadtest.tally import Tally
from loadtest.target import Target
from loadtest.workers.pipe import Pipe, Ticker

__all__ = ["subscribe"]

_TOKEN_TTL_S = 24 * 3600
_IP_BIND_ADDRESS_NO_PORT = 24


async def subscribe(part: SubscriberPart, pipe: Pipe) -> None:
    """Serve one `SubscriberPart` until told to finish."""
    swarm = _Share(part)
    pipe.send(Prepared())
    async with asyncio.TaskGroup() as tasks:
        ticking: asyncio.Task[None] | None = None
        while not isinstance(message := await pipe.receive(), Finish):
            await _end(ticking)
            if isinstance(message, Open):
                ticking = tasks.create_task(Ticker(pipe, "open", message.origin_ns, swarm.tally).run(), name="ticks")
                tasks.create_task(_open(swarm, pipe, message.origin_ns), name="opening")
            elif isinstance(message, Measure):
                swarm.is_measuring = True
                ticking = tasks.create_task(Ticker(pipe, "measure", message.origin_ns, swarm.tally).run(), name="ticks")
        await _end(ticking)
        pipe.send(swarm.judge(message.totals))
        swarm.stop()


async def _open(swarm: "_Share", pipe: Pipe, origin_ns: int) -> None:
    """Open all clients from the moment on that all processes share."""
    await asyncio.sleep(max(0.0, (origin_ns - time.monotonic_ns()) / 1e9))
    await swarm.open()
    pipe.send(swarm.opened((time.monotonic_ns() - origin_ns) / 1e9))


async def _end(task: asyncio.Task[None] | None) -> None:
    """Cancel a task of ours and await its last words."""
    if task is not None:
        task.cancel()
        await asyncio.wait({task})


class _Share:
    """The clients of this process."""

    def __init__(self, part: SubscriberPart) -> None:
        self.tally = Tally()
        self.is_measuring = False
        self.is_stopped = False
        self._part = part
        self._upgrade = make_upgrade(part.target)
        # Signed beforehand, so that connecting measures the server and not our signatures.
        self._hellos = [make_hello(part.channel, token) for token in _sign_tokens(part)]
        self._clients: list[SwarmClient] = []
        self._failures: Counter[str] = Counter()
        self._to_upgrade, self._to_subscribed = Histogram(), Histogram()
        self._context = ssl.create_default_context() if part.target.tls else None

    async def open(self) -> None:
        """Open all clients, never more than `at_once` on their way."""
        part = self._part
        address = await _resolve(part.target)
        begin_s = time.monotonic()
        numbers = iter(range(part.count))

        async def keep_opening() -> None:
            for number in numbers:
                if self.is_stopped:
                    return
                if part.rate_per_s:
                    await asyncio.sleep(max(0.0, begin_s + number / part.rate_per_s - time.monotonic()))
                await self._open_one(number, address)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(min(part.at_once, part.count)):
                tasks.create_task(keep_opening(), name="opener")

    async def _open_one(self, number: int, address: "_Address") -> None:
        part = self._part
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()
        check = SequenceCheck() if (part.first + number) % part.sample_every == 0 else None
        client = SwarmClient(self.tally, self._upgrade, self._hellos[number], _resolver(settled), check)
        self._hellos[number] = b""
        started_ns = time.monotonic_ns()
        try:
            async with asyncio.timeout(part.timeout_s):
                await self._connect(client, number, address)
                await settled
        except TimeoutError:
            client.fail(f"not subscribed within {part.timeout_s:g} s")
        except OSError as exc:
            client.fail(f"cannot connect: {describe_failure(exc)}")
        if client.failure:
            self._failures[client.failure] += 1
            self.tally.add("failed")
            return
        self._clients.append(client)
        self._to_upgrade.record(client.upgraded_ns - started_ns)
        self._to_subscribed.record(client.subscribed_ns - started_ns)
        self.tally.add("subscribed")
        if not self.is_measuring:
            self.tally.latency.record(client.subscribed_ns - started_ns)

    async def _connect(self, client: SwarmClient, number: int, address: "_Address") -> None:
        loop = asyncio.get_running_loop()
        family, where = address
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._part.source_addresses > 1:
                _bind_source(sock, (self._part.first + number) % self._part.source_addresses)
            await loop.sock_connect(sock, where)
            name = self._part.target.host if self._context else None
            await loop.create_connection(lambda: client, sock=sock, ssl=self._context, server_hostname=name)
        except BaseException:
            sock.close()
            raise

    def opened(self, elapsed_s: float) -> Opened:
        """Tell how opening went."""
        subscribed = len(self._clients)
        return Opened(elapsed_s, subscribed, dict(self._failures), self._to_upgrade.counts(), self._to_subscribed.counts())

    def judge(self, totals: list[SourceTotal]) -> SubscribersFinal:
        """Compare what each client received with what was published while all were subscribed."""
        expected = sum(total.accepted for total in totals)
        spare = sum(len(total.unknown) for total in totals)  # may have arrived or not
        stayed = [client for client in self._clients if client.is_subscribed]
        checks = [client.check for client in stayed if client.check is not None]
        return SubscribersFinal(
            received=sum(client.received for client in self._clients),
            short=sum(max(0, expected - client.received) for client in stayed),
            over=sum(max(0, client.received - expected - spare) for client in stayed),
            sampled=len(checks),
            findings=sum((check.findings(totals) for check in checks), Findings()),
            closings=dict(Counter(client.closing for client in self._clients if client.closing)),
        )

    def stop(self) -> None:
        """Open no more, and close every client."""
        self.is_stopped = True
        for client in self._clients:
            client.leave()


_Address = tuple[socket.AddressFamily, tuple[object, ...]]


async def _resolve(target: Target) -> _Address:
    found = await asyncio.get_running_loop().getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    family, _, _, _, where = found[0]
    return family, where


def _bind_source(sock: socket.socket, number: int) -> None:
    """Take one of many loopback addresses: one address has some 28,000 ports towards a server."""
    sock.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((f"127.0.{1 + number // 250}.{1 + number % 250}", 0))


def _resolver(settled: asyncio.Future[None]) -> Callable[[SwarmClient], None]:
    def resolve(_client: SwarmClient) -> None:
        if not settled.done():
            settled.set_result(None)

    return resolve


def _sign_tokens(part: SubscriberPart) -> list[str]:
    """Sign one token per client; users repeat when there are fewer of them than clients."""
    if not part.secret:
        return [""] * part.count
    expires = int(time.time()) + _TOKEN_TTL_S
    signed: dict[int, str] = {}
    for number in range(part.first, part.first + part.count):
        user = number % part.users
        if user not in signed:
            signed[user] = jwt.encode({"sub": f"load-{user}", "exp": expires}, part.secret, algorithm="HS256")
    return [signed[number % part.users] for number in range(part.first, part.first + part.count)]
