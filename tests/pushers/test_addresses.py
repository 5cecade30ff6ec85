"""Addresses as others may see them."""

import pytest

from broker.notification import Provider
from pushers.addresses import masked


@pytest.mark.parametrize(
    ("provider", "token", "shown"),
    [
        (Provider.APNS, "a1b2c3d4e5f60718293a4b5c6d7e8f90", "a1b2c3…"),
        (Provider.EMAIL, "ann@example.org", "a…@example.org"),
        (Provider.WEBPUSH, '{"endpoint":"https://push.example/x/secret","keys":{"auth":"k"}}', "push.example/…"),
        (Provider.WEBPUSH, '{"endpoint":"https://push.example:444/x"}', "push.example:444/…"),
        (Provider.WEBPUSH, "no json", "…"),
        (Provider.WEBHOOK, "https://hooks.example/T1/secret", "hooks.example/…"),
        (Provider.WEBHOOK, "pager-of-ann", "page…"),
        (Provider.SMS, "+4915112345678", "+491…"),
    ],
)
def test_enough_to_recognise_too_little_to_use(device, provider, token, shown):
    assert masked(device(provider, token=token)) == shown
