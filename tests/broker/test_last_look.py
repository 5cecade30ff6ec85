"""What stays known of something that is asked again and again."""

from datetime import UTC, datetime, timedelta

from broker.last_look import NO_LOOK, LastLook

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
AT = BEGAN.timestamp()


def test_the_last_error_stays_when_all_is_well_again_and_the_beginning_of_trouble_while_it_lasts():
    look = NO_LOOK.then("", 0.0125, BEGAN)
    assert look == LastLook(12.5, AT)
    look = look.then("reset", 2.0, BEGAN + timedelta(seconds=1)).then("refused", 0.001, BEGAN + timedelta(seconds=9))
    assert look == LastLook(1.0, AT + 9, AT + 1, "refused", AT + 9)
    look = look.then("", 0.0, BEGAN + timedelta(seconds=20))
    assert look == LastLook(0.0, AT + 20, None, "refused", AT + 9)
    assert look.then("reset", 0.0, BEGAN + timedelta(seconds=30)).failing_since == AT + 30
