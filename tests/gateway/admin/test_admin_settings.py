import pytest
from pydantic import ValidationError

from config.admin_settings import AdminSettings
from gateway.admin.passwords import Cost, hash_password

HASH = hash_password("a password of the tests", Cost(2, 1, 1))
ANN = {"name": "ann", "password_hash": HASH}
SECRET = "x" * 32


def test_is_off_unless_it_is_asked_for():
    assert not AdminSettings().enabled
    assert AdminSettings.model_validate({"users": [ANN]}).users[0].role == "read"


@pytest.mark.parametrize(
    ("chosen", "rule"),
    [
        ({"enabled": True, "secret": SECRET}, "users"),
        ({"enabled": True, "users": [ANN]}, "secret"),
        ({"enabled": True, "users": [ANN], "secret": "x" * 31}, "secret"),
        ({"users": [ANN, ANN]}, "two of them have the name 'ann'"),
        ({"users": [{**ANN, "name": "a b"}]}, "name"),
        ({"users": [{**ANN, "name": ""}]}, "name"),
        ({"users": [{**ANN, "role": "root"}]}, "role"),
        ({"users": [{"name": "ann", "password": "plain"}]}, "password"),
        ({"origin": "ops.example.com"}, "origin"),
        ({"origin": "https://ops.example.com/admin"}, "origin"),
        ({"origin": "https://user@ops.example.com"}, "origin"),
        ({"origin": "https://OPS.example.com"}, "origin"),
        ({"origin": "https://"}, "origin"),
        ({"session_ttl": "10s"}, "session_ttl"),
    ],
)
def test_refuses(chosen, rule):
    with pytest.raises(ValidationError) as refused:
        AdminSettings.model_validate(chosen)
    assert rule in str(refused.value)
    assert HASH not in str(refused.value) and SECRET not in str(refused.value)
