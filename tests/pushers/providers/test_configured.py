"""Building providers from settings: what is usable, and what is said of what is not."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from config.clock import ManualClock
from config.errors import SettingsError
from config.settings import ProvidersSettings
from pushers.provider import Provider
from pushers.providers.configured import build_providers


def pem(key: Any) -> str:
    text: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text.decode()


P256 = pem(ec.generate_private_key(ec.SECP256R1()))
P384 = pem(ec.generate_private_key(ec.SECP384R1()))
RSA = pem(rsa.generate_private_key(65537, 2048))
ACCOUNT = {"project_id": "shop", "client_email": "push@shop.example", "private_key": RSA, "private_key_id": "k"}
APNS = {"team_id": "T", "key_id": "K", "private_key": P256, "topic": "io.example"}
WEBPUSH = {"vapid_private_key": P256, "subject": "mailto:ops@shop.example"}
EMAIL = {"url": "smtp://mail.example", "sender": "news@shop.example"}


def build(**sections: Any) -> tuple[Provider, ...]:
    return build_providers(ProvidersSettings.model_validate(sections), clock=ManualClock())


async def names(*providers: Provider) -> list[str]:
    for provider in providers:
        await provider.close()
    return [str(provider.name) for provider in providers]


async def test_nothing_configured_builds_nothing() -> None:
    assert build() == ()


async def test_all_are_built_in_order() -> None:
    providers = build(apns=APNS, fcm={"service_account": json.dumps(ACCOUNT)}, webpush=WEBPUSH, email=EMAIL)
    assert await names(*providers) == ["apns", "fcm", "webpush", "email"]


async def test_service_account_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "account.json"
    path.write_text(json.dumps(ACCOUNT))
    assert await names(*build(fcm={"service_account": str(path)})) == ["fcm"]


@pytest.mark.parametrize("url", ["smtps://mail.example", "smtp://mail.example:2525", "smtp+plain://127.0.0.1:25"])
async def test_relays(url: str) -> None:
    assert await names(*build(email={**EMAIL, "url": url})) == ["email"]


def account(**members: Any) -> dict[str, str]:
    return {"service_account": json.dumps({**ACCOUNT, **members})}


@pytest.mark.parametrize(
    ("section", "values", "setting"),
    [
        ("apns", {**APNS, "private_key": "no pem"}, "private_key"),
        ("apns", {**APNS, "private_key": P384}, "private_key"),
        ("apns", {**APNS, "private_key": RSA}, "private_key"),
        ("apns", {**APNS, "url": "http://api.push.apple.com"}, "url"),
        ("apns", {**APNS, "url": "https://host:99999"}, "url"),
        ("apns", {**APNS, "ca_file": "/nowhere/ca.pem"}, "ca_file"),
        ("apns", {**APNS, "topic": ""}, "topic"),
        ("apns", {"team_id": "T"}, "key_id"),
        ("fcm", {"service_account": "/nowhere/account.json"}, "service_account"),
        ("fcm", {"service_account": "{}"}, "service_account"),
        ("fcm", {"service_account": "{nonsense"}, "service_account"),
        ("fcm", account(private_key=P256), "service_account"),
        ("fcm", account(project_id="a/b"), "service_account"),
        ("fcm", account(token_uri="http://x"), "service_account"),
        ("fcm", {**account(), "url": "fcm.googleapis.com"}, "url"),
        ("webpush", {**WEBPUSH, "vapid_private_key": "no pem"}, "vapid_private_key"),
        ("webpush", {**WEBPUSH, "subject": "ops@shop.example"}, "subject"),
        ("webpush", {**WEBPUSH, "subject": ""}, "subject"),
        ("webpush", {**WEBPUSH, "connect_to": "127.0.0.1"}, "connect_to"),
        ("email", {**EMAIL, "url": "http://mail.example"}, "url"),
        ("email", {**EMAIL, "url": "smtp://"}, "url"),
        ("email", {**EMAIL, "url": "smtp://mail.example:port"}, "url"),
        ("email", {**EMAIL, "url": "smtp://user:pw@mail.example"}, "url"),
        ("email", {**EMAIL, "sender": "News <news@shop.example>"}, "sender"),
        ("email", {**EMAIL, "url": ""}, "url"),
        ("email", {**EMAIL, "url": "smtp+plain://127.0.0.1", "username": "u", "password": "p"}, "username"),
        ("email", {**EMAIL, "ca_file": __file__}, "ca_file"),
    ],
)
def test_unusable_setting_is_named(section: str, values: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(**{section: values})
    (problem,) = caught.value.problems
    assert problem.startswith(f"providers.{section}.{setting}: ")
    assert not any(secret in problem for secret in (P256, P384, RSA, "pw"))


def test_all_problems_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        build(
            apns={**APNS, "private_key": "x"},
            fcm={"service_account": "{}"},
            webpush={**WEBPUSH, "subject": "x"},
            email={"sender": "x"},
        )
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "providers.apns.private_key",
        "providers.fcm.service_account",
        "providers.webpush.subject",
        "providers.email.url",
    ]
