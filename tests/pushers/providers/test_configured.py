"""Building providers from settings: what is usable, and what is said of what is not."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from config.clock import ManualClock
from config.errors import SettingsError
from config.settings import ApnsSettings, ProvidersSettings
from pushers.provider import Provider
from pushers.providers.configured import build_providers, limits_of
from pushers.providers.renewal import Carrier


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
SMS = {"account_sid": "AC1", "auth_token": "secret-token", "sender": "+15005550006"}
HOOKED_SMS = {"kind": "webhook", "url": "https://sms.example/", "secret": "a-long-enough-secret"}
WEBHOOK = {"secret": "a-long-enough-secret", "allowed_hosts": ["hooks.example"]}
ED25519 = pem(ed25519.Ed25519PrivateKey.generate())
SMALL_RSA = pem(rsa.generate_private_key(65537, 1024))
DKIM = {"dkim_selector": "2026", "dkim_private_key": ED25519}


def build(**sections: Any) -> tuple[Carrier, ...]:
    return build_providers(ProvidersSettings.model_validate(sections), clock=ManualClock())


async def names(*providers: Provider) -> list[str]:
    for provider in providers:
        await provider.close()
    return [str(provider.name) for provider in providers]


async def test_nothing_configured_builds_nothing() -> None:
    assert build() == ()


async def test_all_are_built_in_order() -> None:
    sections = {"apns": APNS, "fcm": {"service_account": json.dumps(ACCOUNT)}, "webpush": WEBPUSH, "email": EMAIL}
    providers = build(**sections, sms=SMS, webhook=WEBHOOK)
    assert await names(*providers) == ["apns", "fcm", "webpush", "email", "sms", "webhook"]


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
        ("email", {**EMAIL, "password": "pw", "password_file": "/nowhere"}, "password"),
        ("email", {**EMAIL, "password_file": "/nowhere"}, "password_file"),
        ("email", {**EMAIL, "password_file": os.devnull}, "password_file"),
        ("email", {**EMAIL, "dkim_selector": "2026"}, "dkim_private_key"),
        ("email", {**EMAIL, **DKIM, "dkim_selector": "a b"}, "dkim_selector"),
        ("email", {**EMAIL, **DKIM, "dkim_domain": "shop.example; d=evil.example"}, "dkim_domain"),
        ("email", {**EMAIL, **DKIM, "dkim_private_key": P256}, "dkim_private_key"),
        ("email", {**EMAIL, **DKIM, "dkim_private_key": SMALL_RSA}, "dkim_private_key"),
        ("apns", {**APNS, "private_key_file": "/nowhere"}, "private_key"),
        ("apns", {**APNS, "cert_file": __file__}, "cert_file"),
        ("apns", {"cert_file": __file__}, "topic"),
        ("apns", {"cert_file": __file__, "topic": "io.example"}, "cert_file"),
        ("sms", {**SMS, "auth_token": ""}, "auth_token"),
        ("sms", {**SMS, "account_sid": "AC/../1"}, "account_sid"),
        ("sms", {**SMS, "sender": "https://x"}, "sender"),
        ("sms", {**SMS, "url": "http://sms.example"}, "url"),
        ("sms", {**SMS, "status_callback": "http://x.example"}, "status_callback"),
        ("sms", {**SMS, "allowed_prefixes": ["49"]}, "allowed_prefixes"),
        ("sms", {**HOOKED_SMS, "secret": "short"}, "secret"),
        ("sms", {**HOOKED_SMS, "secret": ""}, "secret"),
        ("sms", {**HOOKED_SMS, "url": "http://sms.example"}, "url"),
        ("webhook", {**WEBHOOK, "previous_secret": "short"}, "previous_secret"),
        ("webhook", {"secret": WEBHOOK["secret"]}, "url or allowed_hosts"),
        ("webhook", {**WEBHOOK, "url": "http://x.example"}, "url"),
        ("webhook", {**WEBHOOK, "connect_to": "x"}, "connect_to"),
    ],
)
def test_unusable_setting_is_named(section: str, values: dict[str, Any], setting: str) -> None:
    with pytest.raises(SettingsError) as caught:
        build(**{section: values})
    (problem,) = caught.value.problems
    assert problem.startswith(f"providers.{section}.{setting}: ")
    assert not any(secret in problem for secret in (P256, P384, RSA, "secret-token", "a-long-enough-secret"))


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


async def test_secrets_from_files(tmp_path: Path) -> None:
    for name, text in (("p8", P256), ("pw", "word\n"), ("dkim", RSA), ("hook", f"{WEBHOOK['secret']}\n")):
        (tmp_path / name).write_text(text)
    providers = build(
        apns={**APNS, "private_key": "", "private_key_file": str(tmp_path / "p8")},
        webpush={**WEBPUSH, "vapid_private_key": "", "vapid_private_key_file": str(tmp_path / "p8")},
        email={
            **EMAIL,
            "username": "u",
            "password_file": str(tmp_path / "pw"),
            "dkim_selector": "s",
            "dkim_private_key_file": str(tmp_path / "dkim"),
        },
        sms={**SMS, "auth_token": "", "auth_token_file": str(tmp_path / "pw")},
        webhook={**WEBHOOK, "secret": "", "secret_file": str(tmp_path / "hook")},
    )
    assert all(provider.is_renewable for provider in providers)
    assert await names(*providers) == ["apns", "webpush", "email", "sms", "webhook"]


# Apps


async def test_an_app_takes_from_its_section_what_it_does_not_set() -> None:
    settings = ProvidersSettings.model_validate(
        {"apns": {**APNS, "rate_per_s": 5, "apps": [{"name": "kiosk", "topic": "io.example.kiosk", "timeout": "3s"}]}}
    )
    own, app = (account for account in settings.accounts() if account.provider == "apns")
    assert (own.app, app.app, app.path) == ("", "kiosk", "providers.apns.apps[0]")
    assert isinstance(app.settings, ApnsSettings)
    assert (app.settings.topic, app.settings.team_id, app.settings.timeout) == ("io.example.kiosk", "T", 3.0)
    assert {name: limits.rate_per_s for name, limits in limits_of(settings).items()}["apns:kiosk"] == 5
    assert await names(*build_providers(settings, clock=ManualClock())) == ["apns", "apns:kiosk"]


async def test_a_section_may_hold_only_what_its_apps_have_in_common() -> None:
    shared = {name: value for name, value in APNS.items() if name != "topic"}
    providers = build(apns={**shared, "apps": [{"name": "a", "topic": "io.a"}, {"name": "b", "topic": "io.b"}]})
    assert await names(*providers) == ["apns:a", "apns:b"]


async def test_every_provider_may_have_apps() -> None:
    sections: dict[str, Any] = {
        "apns": {"apps": [{"name": "x", **APNS}]},
        "fcm": {"apps": [{"name": "x", "service_account": json.dumps(ACCOUNT)}]},
        "webpush": {"apps": [{"name": "x", **WEBPUSH}]},
        "email": {"apps": [{"name": "x", **EMAIL}]},
        "sms": {"apps": [{"name": "x", **HOOKED_SMS}]},
        "webhook": {"apps": [{"name": "x", **WEBHOOK}]},
    }
    assert await names(*build(**sections)) == [f"{section}:x" for section in sections]


def test_what_is_wrong_with_an_app_is_told_by_its_place() -> None:
    apps = [{"name": "ok", "topic": "io.ok"}, {"name": "bad", "private_key": "no pem"}]
    with pytest.raises(SettingsError) as caught:
        build(apns={**APNS, "apps": apps}, email={"apps": [{"name": "empty"}]})
    assert [problem.partition(": ")[0] for problem in caught.value.problems] == [
        "providers.apns.apps[1].private_key",
        "providers.email.apps[0].name",
    ]


@pytest.mark.parametrize("names_", [["a", "a"], [""], ["a:b"], ["a b"], ["x" * 65]])
def test_names_of_apps_are_plain_and_differ(names_: list[str]) -> None:
    with pytest.raises(ValidationError):
        ProvidersSettings.model_validate({"apns": {"apps": [{"name": name} for name in names_]}})
