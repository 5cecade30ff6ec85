"""What is left alone is not sent: the worker never sees it, and the timeline tells why."""

from broker.notification import Outcome, Provider
from pushers import verdict


def test_the_end_of_a_suppressed_send(step, device, clock):
    mailbox = device(Provider.EMAIL)
    done = verdict.suppressed(step(device=mailbox, suppressed="complaint"), mailbox, now=clock.now())
    assert done.entry is not None
    assert (done.entry.outcome, done.entry.detail) == (Outcome.SUPPRESSED, "left alone since a complaint")
    assert done.retry_at is None
    assert done.drop_device is None
