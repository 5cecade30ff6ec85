"""`heliograph admin hash-password`, and the page of a development server."""

import io
import sys

import pytest

from config.admin_settings import AdminUserSettings
from gateway.admin.passwords import Cost, Passwords
from heliograph.development import OPERATOR, banner, open_development


def typed(monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.StringIO(text))


def test_prints_what_the_settings_take(run, monkeypatch):
    typed(monkeypatch, "correct horse battery\n")
    ended = run("admin", "hash-password")
    assert (ended.code, ended.err) == (0, "")
    written = ended.out.strip()
    assert written.startswith(f"scrypt${Cost().log_n}$") and "correct" not in written
    user = AdminUserSettings.model_validate({"name": "ann", "password_hash": written})
    assert Passwords([user]).fits("ann", "correct horse battery")


@pytest.mark.parametrize(
    ("text", "rule"), [("", "at least 12"), ("too short\n", "at least 12"), ("x" * 1025, "at most 1024 bytes")]
)
def test_refuses_a_password_that_is_none(run, monkeypatch, text, rule):
    typed(monkeypatch, text)
    ended = run("admin", "hash-password")
    assert (ended.code, ended.out) == (2, "")
    assert rule in ended.err


def test_a_development_server_makes_a_password_and_keeps_it(directory):
    first, again = (open_development(directory / "data", environ={}) for _ in range(2))
    assert len(first.operator_password) >= 20
    assert first.operator_password == again.operator_password
    assert first.operator_password != open_development(directory / "other", environ={}).operator_password
    assert first.operator_password not in first.hmac_secret
    admin = first.settings().admin
    assert admin.enabled and admin.users[0].role == "operator"
    assert Passwords(admin.users).fits(OPERATOR, first.operator_password)


def test_the_start_says_how_to_get_in_without_disturbing_the_key(directory):
    development = open_development(directory / "data", environ={})
    lines = banner(development.settings(), development).splitlines()
    (line,) = [line for line in lines if development.operator_password in line]
    assert "http://127.0.0.1:8000/admin" in line and OPERATOR in line
    assert [line for line in lines if line.startswith("API key: ")] == [f"API key: {development.api_key}"]
    elsewhere = banner(development.settings(), development, operations_port=9100)
    assert "http://127.0.0.1:9100/admin" in elsewhere and "http://127.0.0.1:8000/api/publish" in elsewhere


@pytest.mark.parametrize("users", ["[]", '[{"name":"operator","password_hash":"{hash}","role":"read"}]'])
def test_says_nothing_where_the_password_is_another(directory, users):
    other = open_development(directory / "other", environ={})
    environ = {"HELIOGRAPH_ADMIN__USERS": users.replace("{hash}", other.operator_hash)}
    if users == "[]":
        environ["HELIOGRAPH_ADMIN__ENABLED"] = "false"
    development = open_development(directory / "data", environ=environ)
    assert development.operator_password not in banner(development.settings(), development)
