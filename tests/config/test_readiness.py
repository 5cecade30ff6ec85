from typing import Any

import pytest

from config.readiness import advise, check_ready, is_loopback
from config.settings import Settings

SECRET = "a secret that is longer than thirty-two bytes"


def settings_of(**sections: Any) -> Settings:
    return Settings.model_validate({"client": {"token": {"hmac_secret_key": SECRET}}, "http_api": {"keys": ["k"]}} | sections)


def test_is_content_with_a_secret_and_a_key() -> None:
    assert check_ready(settings_of()) == []
    assert advise(settings_of()) == []


def test_demands_a_key_of_tokens_and_says_which_settings() -> None:
    [line] = check_ready(settings_of(client={}))
    assert "client.token.hmac_secret_key" in line
    assert "rsa_public_key" in line
    assert "heliograph init" in line


@pytest.mark.parametrize(
    "client",
    [
        {"insecure": True},
        {"allow_anonymous_connect_without_token": True},
        {"insecure_skip_token_signature_verify": True},
        {"user_id_http_header": "X-User"},
        {"proxy": {"connect": {"enabled": True, "endpoint": "http://backend/connect"}}},
    ],
)
def test_needs_no_key_where_another_way_in_was_chosen(client: dict[str, Any]) -> None:
    assert check_ready(settings_of(client=client)) == []


def test_demands_keys_of_subscription_tokens_that_have_their_own() -> None:
    settings = settings_of(client={"token": {"hmac_secret_key": SECRET}, "subscription_token": {"enabled": True}})
    assert check_ready(settings) == ["client.subscription_token: is enabled but no key is set"]


@pytest.mark.parametrize(
    "url", ["sqlite:///./data/h.db", "sqlite:////tmp/h.db", "postgresql://u:p@h/db", "postgresql://p:@/p?host=/d"]
)
def test_knows_its_stores(url: str) -> None:
    assert check_ready(settings_of(store={"url": url})) == []


@pytest.mark.parametrize("url", ["mysql://u:topsecret@h/db", "topsecret", "", "sqlite:topsecret", "http://[topsecret"])
def test_refuses_other_addresses_without_showing_them(url: str) -> None:
    [line] = check_ready(settings_of(store={"url": url}))
    assert line.startswith("store.url: must begin with sqlite:// or postgresql:// (got")
    assert "topsecret" not in line


def test_refuses_engines_that_it_does_not_have() -> None:
    [line] = check_ready(settings_of(broker={"url": "kafka://h"}))
    assert line.startswith("broker.url: must begin with memory:// or redis:// or rediss:// or ")
    assert line.endswith('(got "kafka://")')


@pytest.mark.parametrize(
    "url",
    ["redis://h", "rediss://u:p@h:1/2", "redis+sentinel://h/m", "rediss+cluster://h,h2:7", "redis+unix:///run/r.sock"],
)
def test_takes_addresses_of_redis(url: str) -> None:
    assert check_ready(settings_of(broker={"url": url})) == []


def test_refuses_a_personal_namespace_that_nobody_configured() -> None:
    client = {"insecure": True, "subscribe_to_user_personal_channel": {"personal_channel_namespace": "personal"}}

    assert "personal_channel_namespace" in check_ready(settings_of(client=client))[0]
    assert check_ready(settings_of(client=client, channel={"namespaces": [{"name": "personal"}]})) == []


def test_warns_that_nobody_can_call_the_api() -> None:
    [line] = advise(settings_of(http_api={}))
    assert line == "http_api.keys: no key is set, so that every call of /api answers 401"
    assert advise(settings_of(http_api={"insecure": True})) == []


def test_warns_of_open_doors_on_public_addresses() -> None:
    client = {"insecure": True, "token": {"hmac_secret_key": SECRET}}
    api = {"insecure": True}

    assert advise(settings_of(client=client, http_api=api)) == []
    lines = advise(settings_of(client=client, http_api=api, http={"host": "0.0.0.0"}))
    assert [line.split(":")[0] for line in lines] == ["client.insecure", "http_api.insecure"]


@pytest.mark.parametrize(
    ("client", "path"),
    [
        ({"token": {"hmac_secret_key": "short"}}, "client.token.hmac_secret_key"),
        ({"allowed_origins": ["*"], "token": {"hmac_secret_key": SECRET}}, "client.allowed_origins"),
        ({"user_id_http_header": "X-User", "insecure": True}, "client.user_id_http_header"),
    ],
)
def test_warns_of_what_is_probably_not_meant(client: dict[str, Any], path: str) -> None:
    [line] = advise(settings_of(client=client))
    assert line.startswith(f"{path}: ")
    assert "short " not in line


def test_warns_of_a_proxy_that_is_never_asked() -> None:
    proxy = {"publish": {"enabled": True, "endpoint": "http://backend/publish"}}
    [line] = advise(settings_of(channel={"proxy": proxy}))
    assert line == "channel.proxy.publish: is never asked, as no namespace sets publish_proxy_enabled"
    asked = {"proxy": proxy, "namespaces": [{"name": "chat", "publish_proxy_enabled": True}]}
    assert advise(settings_of(channel=asked)) == []


def test_warns_of_an_operators_page_that_nobody_reaches() -> None:
    users = [{"name": "ann", "password_hash": f"scrypt$15$8$3${'s' * 22}${'d' * 43}", "role": "read"}]
    [line] = advise(settings_of(admin={"users": users}))
    assert line == "admin.users: nobody can log in, as admin.enabled is false"
    admin = {"enabled": True, "users": users, "secret": SECRET}
    assert advise(settings_of(admin=admin)) == []
    [line] = advise(settings_of(admin=admin, http={"host": "0.0.0.0"}))
    assert line == "admin.enabled: without http.tls or admin.origin the page is served to this machine alone"
    assert advise(settings_of(admin=admin | {"origin": "https://ops.example.com"}, http={"host": "0.0.0.0"})) == []


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "[::1]", "localhost"])
def test_knows_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org", "", "localhost.example.org"])
def test_knows_what_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


def test_advises_on_every_issuer_of_tokens() -> None:
    issuers = [
        {"name": "a", "issuer": "a", "hmac_secret_key": "short"},
        {"name": "b", "issuer": "b", "jwks_url": "http://keys.corp/jwks.json", "jwks_private_network": True},
        {"name": "c", "issuer": "c", "jwks_url": "http://127.0.0.1:8080/", "jwks_private_network": True},
        {"name": "d", "issuer": "d", "jwks_url": "https://d.example.org/"},
    ]
    lines = advise(settings_of(client={"token": {"hmac_secret_key": SECRET, "issuers": issuers}}))
    assert [line.partition(": ")[0] for line in lines] == [
        "client.token.issuers[0].hmac_secret_key",
        "client.token.issuers[1].jwks_url",
    ]


def test_an_issuer_or_tokens_of_our_own_are_keys_enough() -> None:
    for token in (
        {"issuers": [{"name": "a", "issuer": "a", "jwks_url": "https://a.example.org/"}]},
        {"jwks_url": "https://a.example.org/"},
        {"issue": {"enabled": True, "signing_key": SECRET}},
    ):
        assert check_ready(settings_of(client={"token": token})) == []
