"""R22: where a status webhook may go."""

import pytest

from config.egress import Forbidden, Pins
from pushers.providers.webhook_target import check_target


@pytest.mark.parametrize(
    "url",
    [
        "http://app.example.org/hook",
        "https://127.0.0.1/hook",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/hook",
        "https://localhost/hook",
        "https://db.internal/hook",
        "https://user@app.example.org/hook",
        "https://app.example.org:8443/hook",
        "https://app.example.org#fragment",
        "ftp://app.example.org/hook",
        "https://",
        "",
    ],
)
def test_what_is_not_public_is_refused(url):
    with pytest.raises(Forbidden):
        check_target(url, ())


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://10.0.0.7:8443/hook?x=1", "10.0.0.7"),
        ("https://hooks.internal/", "hooks.internal"),
        ("https://[fd00::1]:9000/hook", "[fd00::1]"),
        ("https://127.0.0.1:9", "127.0.0.1"),
    ],
)
async def test_what_the_settings_name_may_be_private(url, host, clock):
    target = check_target(url, (host,))
    assert (target.url, target.is_private) == (url, True)
    assert await target.pinned(Pins(clock, lambda _: pytest.fail("nothing is looked up"))) == ()


@pytest.mark.parametrize(
    "url", ["http://10.0.0.7/hook", "https://10.0.0.7.example/", "https://10.0.0.8/", "https://a@10.0.0.7/"]
)
async def test_a_name_allows_itself_alone(url, clock):
    try:
        target = check_target(url, ("10.0.0.7",))
    except Forbidden:
        return
    assert not target.is_private, url


async def test_a_public_name_that_leads_inside_is_refused_when_it_is_called(clock):
    target = check_target("https://app.example.org/hook", ())
    with pytest.raises(Forbidden):
        await target.pinned(Pins(clock, lambda _: ["93.184.216.34", "10.0.0.7"]))
    assert await target.pinned(Pins(clock, lambda _: ["93.184.216.34"])) == ("app.example.org:443:93.184.216.34",)
