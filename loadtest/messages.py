"""What the conducting process and its measuring workers say to each other, and how it is framed on their pipe.

Each message is msgpack behind four bytes of length. All values are plain, so a plan can be written down, and a run
replayed into `measure` by a test. Instants named `_ns` are readings of the monotonic clock, which the processes of one
machine share; those inside publications are wall time.
"""

import msgspec

from loadtest.histogram import HistogramCounts
from loadtest.sequences import Findings, SourceTotal
from loadtest.target import Target

__all__ = [
    "TICK_S",
    "Accepted",
    "Assignment",
    "Fault",
    "Finish",
    "FromWorker",
    "Measure",
    "NotifierFinal",
    "NotifierPart",
    "Open",
    "Opened",
    "Prepared",
    "PublisherFinal",
    "PublisherPart",
    "SubscriberPart",
    "SubscribersFinal",
    "Tick",
    "ToWorker",
    "decode_from_worker",
    "decode_to_worker",
    "encode_message",
]

# How often a worker tells what it counted. Whole seconds are sums of these.
TICK_S = 0.25


class SubscriberPart(msgspec.Struct, frozen=True, tag=True):
    """One process's share of the swarm: clients numbered from `first`.

    `at_once` clients may be opening at a time; `rate_per_s` > 0 spaces their starts as well. One client in
    `sample_every` has its latencies and sequence numbers read; all are counted. `secret` empty: no token is sent.
    """

    target: Target
    channel: str
    first: int
    count: int
    secret: str
    users: int
    at_once: int
    rate_per_s: float
    sample_every: int
    source_addresses: int
    timeout_s: float
    cpu: int | None = None


class PublisherPart(msgspec.Struct, frozen=True, tag=True):
    """What one process publishes, in requests of `batch`, for `duration_s`; a rate of 0 is as fast as answers come."""

    target: Target
    api_key: str
    channel: str
    rate_per_s: float
    batch: int
    size_bytes: int
    duration_s: float
    connections: int
    cpu: int | None = None


class NotifierPart(msgspec.Struct, frozen=True, tag=True):
    """What one process notifies: `users` in turn, `per_request` of them in each request, until `count` are sent."""

    target: Target
    api_key: str
    users: list[str]
    count: int
    per_request: int
    rate_per_s: float
    connections: int
    routes: list[str]
    priority: str
    cpu: int | None = None


Assignment = SubscriberPart | PublisherPart | NotifierPart


class Open(msgspec.Struct, frozen=True, tag=True):
    """Begin to connect; ticks are numbered from `origin_ns`."""

    origin_ns: int


class Measure(msgspec.Struct, frozen=True, tag=True):
    """Begin to publish, or to count publications; ticks are numbered anew from `origin_ns`."""

    origin_ns: int


class Finish(msgspec.Struct, frozen=True, tag=True):
    """Stop, judge what was received against what was published, tell it and end."""

    totals: list[SourceTotal] = []


ToWorker = Assignment | Open | Measure | Finish


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """The assignment is read and everything costly is done beforehand."""


class Tick(msgspec.Struct, frozen=True, tag=True):
    """What happened in one slot of TICK_S: counts by name, latencies, clients connected at its end, CPU seconds used.

    `lag_s`: how late the worker's loop came to tell it. What it read meanwhile was late by as much, through no fault of
    the server's.
    """

    phase: str
    slot: int
    counts: dict[str, int]
    latency: HistogramCounts
    connected: int
    cpu_s: float
    lag_s: float = 0.0


class Opened(msgspec.Struct, frozen=True, tag=True):
    """Every client of this process is subscribed or has failed, after `elapsed_s`; failures are counted by their text."""

    elapsed_s: float
    subscribed: int
    failures: dict[str, int]
    to_upgrade: HistogramCounts
    to_subscribed: HistogramCounts


class SubscribersFinal(msgspec.Struct, frozen=True, tag=True):
    """The judgement of one process's subscribers.

    `short` counts publications that clients which stayed connected did not receive (`over`: received too many), over all
    of them; `findings` are those of the sample. `closings` counts by code and reason those that did not stay.
    """

    received: int
    short: int
    over: int
    sampled: int
    findings: Findings
    closings: dict[str, int]


class PublisherFinal(msgspec.Struct, frozen=True, tag=True):
    """What was published, request latencies, and failures by their text."""

    totals: list[SourceTotal]
    answers: HistogramCounts
    failures: dict[str, int]
    late: int


class Accepted(msgspec.Struct, frozen=True, tag=True):
    """One request's notifications: their ids, and when it was sent, in Unix seconds."""

    ids: list[str]
    sent_at: float


class NotifierFinal(msgspec.Struct, frozen=True, tag=True):
    """From the first request to the last answer, request latencies, failures by their text."""

    elapsed_s: float
    answers: HistogramCounts
    failures: dict[str, int]


class Fault(msgspec.Struct, frozen=True, tag=True):
    """The worker cannot go on; the text says why."""

    text: str


FromWorker = Prepared | Tick | Opened | Accepted | SubscribersFinal | PublisherFinal | NotifierFinal | Fault

_encoder = msgspec.msgpack.Encoder()
_to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
_from_worker: msgspec.msgpack.Decoder[FromWorker] = msgspec.msgpack.Decoder(FromWorker)


def encode_message(message: ToWorker | FromWorker) -> bytes:
    """Frame one message for the pipe."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode_to_worker(body: bytes) -> ToWorker:
    """Read what the conductor says; raises msgspec.DecodeError on anything else."""
    return _to_worker.decode(body)


def decode_from_worker(body: bytes) -> FromWorker:
    """Read what a worker says; raises msgspec.DecodeError on anything else."""
    return _from_worker.decode(body)
