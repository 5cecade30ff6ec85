"""Which web origins may connect."""

import pytest

from gateway.origins import is_origin_allowed


@pytest.mark.parametrize(
    ("origin", "allowed", "passes"),
    [
        ("", [], True),
        ("", ["https://app.example"], True),
        ("https://app.example", [], False),
        ("null", [], False),
        ("null", ["*"], True),
        ("https://app.example", ["*"], True),
        ("https://app.example", ["https://app.example"], True),
        ("HTTPS://App.Example", ["https://app.example"], True),
        ("https://app.example", ["https://APP.example"], True),
        ("https://app.example:8443", ["https://app.example"], False),
        ("http://app.example", ["https://app.example"], False),
        ("https://app.example.evil.example", ["https://app.example"], False),
        ("https://a.app.example", ["https://app.example"], False),
        ("https://a.app.example", ["https://*.app.example"], True),
        ("https://app.example", ["https://*.app.example"], False),
        ("https://evilapp.example", ["https://*.app.example"], False),
        ("https://app.example", ["https://other.example", "https://app.example"], True),
        ("http://[::1]:8000", ["http://[::1]:8000"], True),
        ("http://[::1]:8000", ["http://[::1]:*"], True),
        ("http://[::1]:8000", ["http://[::1]:9000"], False),
        ("http://1:8000", ["http://[::1]:8000"], False),
    ],
)
def test_origins(origin, allowed, passes):
    assert is_origin_allowed(origin, allowed) is passes
