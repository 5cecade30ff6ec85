"""VAPID tokens: signed once per origin, renewed in time, bounded in number."""

import base64
import re
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from pushers.providers.vapid import Vapid

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def vapid() -> Vapid:
    return Vapid(KEY, "mailto:ops@shop.example")


def test_header_of_rfc_8292(vapid: Vapid) -> None:
    parts = re.fullmatch(r"vapid t=([\w.-]+), k=([\w-]+)", vapid.authorization("https://push.example", NOW))
    assert parts is not None
    point = base64.urlsafe_b64decode(parts[2] + "=")
    assert parts[2] == vapid.public_key
    assert len(point) == 65
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    claims = jwt.decode(parts[1], public, algorithms=["ES256"], audience="https://push.example", options={"verify_exp": False})
    assert claims == {"aud": "https://push.example", "exp": 1767225600 + 12 * 3600, "sub": "mailto:ops@shop.example"}


def test_one_token_per_origin_for_ten_hours(vapid: Vapid) -> None:
    first = vapid.authorization("https://a.example", NOW)
    assert vapid.authorization("https://b.example", NOW) != first
    assert vapid.authorization("https://a.example", NOW + timedelta(hours=9, minutes=59)) == first
    assert vapid.authorization("https://a.example", NOW + timedelta(hours=10)) != first


def test_origins_are_bounded(vapid: Vapid) -> None:
    first = vapid.authorization("https://0.example", NOW)
    for number in range(1, 257):
        vapid.authorization(f"https://{number}.example", NOW)
    assert vapid.authorization("https://0.example", NOW) != first
