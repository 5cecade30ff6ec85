"""What lies in the second level is read as it was written."""

from datetime import UTC, datetime

from broker.caching.preferences import UserWords, _Codec
from broker.caching.templates import _TextLists
from broker.notification import Preference
from broker.preferences import UserRules
from broker.quiet_hours import QuietHours
from broker.routing import Route, RoutePolicy
from broker.templates import StoredText, TemplateKey, TemplateText

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def test_what_a_user_said() -> None:
    policy = RoutePolicy(stages=((Route.LIVE,), (Route.PUSH, Route.EMAIL)), waits={Route.LIVE: 2.5})
    rules = UserRules(
        quiet_hours=QuietHours("22:00", "07:00", "Europe/Berlin"),
        snoozed_until=NOON,
        timezone="Europe/Berlin",
        routing=policy,
        locale="de",
        routing_by_category={"news": policy},
    )
    words = UserWords((Preference("news", "email", enabled=False, until=NOON), Preference("*", "*", enabled=True)), rules)
    assert _Codec.decode(_Codec.encode(words)) == words


def test_texts_of_a_version() -> None:
    texts = {
        (locale, route): StoredText(TemplateKey("t", locale, route), 3, NOON, TemplateText(title="é", html="<p>"))
        for locale, route in (("", ""), ("de", "push"))
    }
    codec = _TextLists()
    assert codec.decode(codec.encode(texts)) == texts
    assert codec.decode(codec.encode({})) == {}
