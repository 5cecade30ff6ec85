import base64

import pytest

from config.admin_settings import AdminUserSettings
from config.errors import SettingsError
from config.loader import load_settings
from gateway.admin.passwords import Cost, Passwords, hash_password

CHEAP = Cost(2, 1, 1)


def user(name: str, password_hash: str) -> AdminUserSettings:
    return AdminUserSettings.model_validate({"name": name, "password_hash": password_hash})


def test_hashes_by_scrypt():
    """RFC 7914 §12, the third vector: its first half is what 32 bytes of the same are."""
    written = hash_password("pleaseletmein", Cost(14, 8, 1), salt=b"SodiumChloride")
    kind, log_n, r, p, salt, digest = written.split("$")
    assert (kind, log_n, r, p) == ("scrypt", "14", "8", "1")
    assert base64.urlsafe_b64decode(salt + "=") == b"SodiumChloride"
    assert base64.urlsafe_b64decode(digest + "=").hex() == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"


def test_the_same_password_is_never_hashed_alike():
    first, second = (hash_password("correct horse battery", CHEAP) for _ in range(2))
    assert first != second
    passwords = Passwords([user("ann", first), user("bob", second)])
    assert passwords.fits("ann", "correct horse battery") and passwords.fits("bob", "correct horse battery")


@pytest.mark.parametrize("password", ["", "correct horse batter", "correct horse battery ", "CORRECT HORSE BATTERY", "\ud800"])
def test_another_password_does_not_fit(password):
    assert not Passwords([user("ann", hash_password("correct horse battery", CHEAP))]).fits("ann", password)


def test_nobody_has_a_password_and_costs_the_same():
    passwords = Passwords([user("ann", hash_password("correct horse battery", Cost(3, 2, 1)))])
    assert not passwords.fits("nobody", "correct horse battery")
    assert passwords._nobodys[0] == Cost(3, 2, 1)
    assert passwords.knows("ann") and not passwords.knows("nobody")


@pytest.mark.parametrize(
    "written",
    [
        "",
        "correct horse battery",
        "$2b$12$abcdefghijklmnopqrstuv",
        hash_password("x", CHEAP)[:-1],
        hash_password("x", CHEAP) + "=",
        hash_password("x", CHEAP).replace("scrypt$2$", "scrypt$0$"),
        hash_password("x", CHEAP).replace("scrypt$2$1", "scrypt$24$16"),  # 32 GiB
        hash_password("x", CHEAP).replace("$1$1$", "$1$0$"),
    ],
    # Salts are drawn anew by every process that collects these.
    ids=["empty", "plain", "bcrypt", "cut", "padded", "no work", "too much work", "no lanes"],
)
def test_refuses_what_is_no_hash_and_does_not_repeat_it(written):
    with pytest.raises(SettingsError) as refused:
        load_settings(None, defaults={"admin": {"users": [{"name": "ann", "password_hash": written}]}}, environ={})
    (problem,) = refused.value.problems
    assert problem.startswith("admin.users[0].password_hash: ")
    assert not written or written not in problem
