"""Every message survives the pipe."""

import pytest

from loadtest.histogram import Histogram
from loadtest.messages import (
    Accepted,
    Fault,
    Finish,
    FromWorker,
    Measure,
    NotifierFinal,
    NotifierPart,
    Open,
    Opened,
    Prepared,
    PublisherFinal,
    PublisherPart,
    SubscriberPart,
    SubscribersFinal,
    Tick,
    ToWorker,
    decode_from_worker,
    decode_to_worker,
    encode_message,
)
from loadtest.sequences import Findings, SourceTotal
from loadtest.target import Target

TARGET = Target("h", 1, tls=True, prefix="/x")
COUNTS = Histogram().counts()


@pytest.mark.parametrize(
    "message",
    [
        SubscriberPart(TARGET, "c", 0, 5, "s", 5, 2, 0.0, 1, 1, 30.0, cpu=1),
        PublisherPart(TARGET, "k", "c", 10.0, 4, 128, 5.0, 2),
        NotifierPart(TARGET, "k", ["u"], 5, 1, 0.0, 2, ["push"], "bulk"),
        Open(1),
        Measure(2),
        Finish([SourceTotal(0, 3, [1], [2])]),
    ],
    ids=lambda message: type(message).__name__,
)
def test_to_a_worker(message: ToWorker) -> None:
    framed = encode_message(message)
    assert int.from_bytes(framed[:4], "big") == len(framed) - 4
    assert decode_to_worker(framed[4:]) == message


@pytest.mark.parametrize(
    "message",
    [
        Prepared(),
        Tick("open", 3, {"a": 1}, COUNTS, 7, 0.1),
        Opened(1.0, 5, {"x": 1}, COUNTS, COUNTS),
        Accepted(["a"], 1.5),
        SubscribersFinal(1, 2, 3, 4, Findings(1, 2, 3), {"3008 slow": 1}),
        PublisherFinal([SourceTotal(0, 1)], COUNTS, {}, 0),
        NotifierFinal(1.0, COUNTS, {}),
        Fault("t"),
    ],
    ids=lambda message: type(message).__name__,
)
def test_from_a_worker(message: FromWorker) -> None:
    assert decode_from_worker(encode_message(message)[4:]) == message
