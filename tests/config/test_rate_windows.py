"""Rates as people write them."""

import pytest
from pydantic import ValidationError

from config.provider_settings import FcmApp, FcmSettings, ProviderLimits, ProvidersSettings
from config.rate_windows import parse_rate_window


@pytest.mark.parametrize(
    ("text", "per_s", "burst"),
    [
        ("5/s", 5.0, 5),
        ("30/h", 30 / 3600, 30),
        ("200/min burst 40", 200 / 60, 40),
        ("4500/h burst 500", 1.25, 500),
        ("1/d", 1 / 86400, 1),
    ],
)
def test_what_is_written_is_read(text, per_s, burst):
    assert parse_rate_window(text) == pytest.approx((per_s, burst))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "30/",
        "/h",
        "0/h",
        "-1/h",
        "1.5/h",
        "30/hour",
        "30 / h",
        "30/h burst 0",
        "30/h burst",
        "30/h,1/s",
        "9999999999/s",
    ],
)
def test_another_form_is_refused_with_the_right_one(text):
    with pytest.raises(ValueError, match='must be a rate such as "30/h"'):
        parse_rate_window(text)
    for name in ("rate_per_user", "rate_per_device"):
        with pytest.raises(ValidationError, match="must be a rate"):
            ProviderLimits(**{name: (text,)})


def test_nothing_is_limited_unless_it_is_set():
    for account in ProvidersSettings().accounts():
        settings = account.settings
        assert (settings.rate_per_s, settings.total_rate_per_s, settings.rate_per_user, settings.rate_per_device) == (
            0,
            0,
            (),
            (),
        )


def test_apps_share_the_total_and_may_have_rates_of_their_own():
    fcm = FcmSettings(total_rate_per_s=50, rate_per_user=("30/h",), apps=(FcmApp(name="kiosk", rate_per_user=()),))
    own, kiosk = (one.settings for one in ProvidersSettings(fcm=fcm).accounts() if one.provider == "fcm")
    assert (own.total_rate_per_s, own.rate_per_user) == (50, ("30/h",))
    assert (kiosk.total_rate_per_s, kiosk.rate_per_user) == (50, ())
    with pytest.raises(ValidationError, match="total_rate_per_s"):
        FcmApp(name="kiosk", total_rate_per_s=1)
