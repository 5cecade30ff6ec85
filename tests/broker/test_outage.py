"""An outage is told when it begins and when it ends, and waited out with growing patience."""

from structlog.testing import capture_logs

from broker.outage import Outage


def test_it_is_told_once_and_counted(clock):
    outage = Outage("store", clock)
    with capture_logs() as logs:
        outage.ended()
        for _ in range(3):
            outage.failed(RuntimeError("gone"))
        clock.move(9.0)
        outage.ended()
        outage.ended()
    assert [(entry["event"], entry["what"]) for entry in logs] == [("outage.began", "store"), ("outage.ended", "store")]
    assert (logs[1]["failures"], logs[1]["lasted_s"]) == (3, 9.0)


def test_the_wait_grows_to_its_cap_with_jitter(clock):
    outage = Outage("store", clock, base_s=0.1, cap_s=5.0)
    waits = [outage.failed(RuntimeError("gone")) for _ in range(12)]
    for number, wait_s in enumerate(waits):
        ceiling_s = min(5.0, 0.1 * 2**number)
        assert ceiling_s / 2 <= wait_s <= ceiling_s
