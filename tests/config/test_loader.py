from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from config.errors import SettingsError
from config.loader import load_settings, load_with_origins


def write(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "heliograph.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def problems_of(file: Path | None = None, environ: dict[str, str] | None = None, **more: Any) -> list[str]:
    with pytest.raises(SettingsError) as refusal:
        load_settings(file, environ=environ or {}, **more)
    return refusal.value.problems


def pem_of(key: Any) -> str:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_has_defaults_without_any_source() -> None:
    loaded = load_settings(None, environ={})

    assert (loaded.http.port, loaded.broker.url, loaded.client.ping_interval) == (8000, "memory://", 25.0)


def test_reads_a_file(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [client]
        ping_interval = "1m30s"
        token.hmac_secret_key = "s"
        [http_api]
        keys = ["a", "b"]
        [channel]
        namespaces = [{ name = "chat", history_size = 10, history_ttl = "300s", allowed_delta_types = ["fossil"] }]
        """,
    )
    loaded = load_settings(file, environ={})

    assert loaded.client.ping_interval == 90.0
    assert loaded.client.token.hmac_secret_key.get_secret_value() == "s"
    assert [key.get_secret_value() for key in loaded.http_api.keys] == ["a", "b"]
    assert loaded.channel.namespaces[0].history_ttl == 300.0


def test_reads_the_environment() -> None:
    loaded = load_settings(
        None,
        environ={
            "HELIOGRAPH_CLIENT__TOKEN__HMAC_SECRET_KEY": "123",
            "HELIOGRAPH_CLIENT__INSECURE": "true",
            "HELIOGRAPH_HEALTH__ENABLED": "false",
            "HELIOGRAPH_HTTP__PORT": "9000",
            "HELIOGRAPH_CLIENT__PING_INTERVAL": "500ms",
            "HELIOGRAPH_CLIENT__PONG_TIMEOUT": "100ms",
            "HELIOGRAPH_HTTP_API__KEYS": '["k"]',
            "HELIOGRAPH_CHANNEL__NAMESPACES": '[{"name":"chat","presence":true}]',
            "HELIOGRAPH_PROVIDERS__FCM__RATE_PER_S": "2.5",
            "PATH": "/bin",
        },
    )

    assert loaded.client.token.hmac_secret_key.get_secret_value() == "123"
    assert (loaded.client.insecure, loaded.health.enabled, loaded.http.port) == (True, False, 9000)
    assert (loaded.client.ping_interval, loaded.providers.fcm.rate_per_s) == (0.5, 2.5)
    assert loaded.http_api.keys[0].get_secret_value() == "k"
    assert loaded.channel.namespaces[0].name == "chat"


def test_lets_flags_win_over_environment_over_file_over_defaults(tmp_path: Path) -> None:
    file = write(tmp_path, '[http]\nport = 3\nhost = "::1"\n[store]\nurl = "sqlite:///file.db"\n')
    environ = {"HELIOGRAPH_HTTP__PORT": "2", "HELIOGRAPH_STORE__URL": "sqlite:///environment.db"}
    defaults = {"http": {"port": 4}, "health": {"enabled": True}, "store": {"url": "sqlite:///default.db"}}

    loaded = load_with_origins(file, overrides={"http": {"port": 1}}, defaults=defaults, environ=environ)

    assert (loaded.settings.http.port, loaded.settings.http.host) == (1, "::1")
    assert (loaded.settings.store.url, loaded.settings.health.enabled) == ("sqlite:///environment.db", True)
    assert loaded.origins == {
        "http.port": "flag",
        "http.host": str(file),
        "store.url": "HELIOGRAPH_STORE__URL",
        "health.enabled": "development",
    }


def test_merges_tables_and_replaces_lists(tmp_path: Path) -> None:
    file = write(tmp_path, '[http_api]\nkeys = ["file"]\n')
    defaults = {"http_api": {"keys": ["a", "b"], "error_mode": "transport"}}

    loaded = load_settings(file, defaults=defaults, environ={})

    assert [key.get_secret_value() for key in loaded.http_api.keys] == ["file"]
    assert loaded.http_api.error_mode == "transport"
    assert defaults == {"http_api": {"keys": ["a", "b"], "error_mode": "transport"}}


def test_reports_every_problem_at_once(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [client]
        ping_interval = "fast"
        channel_limit = 0
        concurrency = 1.5
        pingg_interval = "1s"
        insecure = "perhaps"
        [log]
        level = "loud"
        [htttp]
        port = 1
        [[channel.namespaces]]
        name = "chat"
        history_ttl = "soon"
        [[channel.namespaces]]
        presense = true
        """,
    )
    environ = {"HELIOGRAPH_HTTP__PORT": "many", "HELIOGRAPH_BROKER_URL": "memory://", "HELIOGRAPH_HTTP_API__KEYS": "topsecret"}

    assert sorted(problems_of(file, environ)) == sorted(
        [
            f'client.ping_interval: must be a duration such as "300ms", "25s" or "720h" (got "fast", from {file})',
            f"client.channel_limit: must be 1 or more (got 0, from {file})",
            f"client.concurrency: must be a whole number (got 1.5, from {file})",
            f"client.pingg_interval: unknown setting; did you mean client.ping_interval? (from {file})",
            f'client.insecure: must be true or false (got "perhaps", from {file})',
            f'log.level: must be "debug", "info", "warning" or "error" (got "loud", from {file})',
            f"htttp: unknown setting; did you mean http? (from {file})",
            'channel.namespaces[0].history_ttl: must be a duration such as "300ms", "25s" or "720h" (got "soon")',
            "channel.namespaces[1].name: must be set",
            "channel.namespaces[1].presense: unknown setting; did you mean channel.namespaces[1].presence?",
            'http.port: must be a whole number (got "many", from HELIOGRAPH_HTTP__PORT)',
            "HELIOGRAPH_BROKER_URL: unknown variable; did you mean HELIOGRAPH_BROKER__URL?",
            'http_api.keys: must be a JSON list such as ["a", "b"] (from HELIOGRAPH_HTTP_API__KEYS)',
        ]
    )


def test_finds_a_setting_that_stands_in_the_wrong_section() -> None:
    [line] = problems_of(overrides={"client": {"hmac_secret_key": "topsecret"}})

    assert line == "client.hmac_secret_key: unknown setting; did you mean client.token.hmac_secret_key? (from flag)"


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        ({"client": {"pong_timeout": "30s"}}, "client: pong_timeout must be shorter than ping_interval"),
        (
            {"channel": {"without_namespace": {"history_size": 5}}},
            "channel.without_namespace: history_size and history_ttl go together: set both or neither",
        ),
        ({"channel": {"namespaces": [{"name": "aa"}, {"name": "aa"}]}}, "channel.namespaces: names must differ; twice: aa"),
        ({"client": 5}, "client: must be a table (from flag)"),
        ({"http_api": {"keys": "k"}}, "http_api.keys: must be a list (from flag)"),
        ({"client": {"token": {"user_id_claim": ""}}}, 'client.token.user_id_claim: must not be empty (got "", from flag)'),
        ({"http": {"port": 70000}}, "http.port: must be 65535 or less (got 70000, from flag)"),
        ({"http": {"host": 5}}, "http.host: must be text (got 5, from flag)"),
    ],
)
def test_names_setting_and_rule(layer: dict[str, Any], expected: str) -> None:
    [line] = problems_of(overrides=layer)
    assert line.split(" (from ")[0] == expected.split(" (from ")[0]


@pytest.mark.parametrize(
    "layer",
    [
        {"client": {"token": {"hmac_secret_key": ["topsecret"]}}},
        {"client": {"token": {"hmac_secret_key": 5}}},
        {"client": {"token": "topsecret"}},
        {"client": "topsecret"},
        {"http_api": {"keys": "topsecret"}},
        {"http_api": {"keys": [["topsecret"]]}},
        {"http_api": {"key": "topsecret"}},
        {"store": {"url": {"topsecret": "topsecret"}}},
        {"store": {"url": 5}, "topsecret_": 1},
        {"providers": {"email": {"password": ["topsecret"], "pasword": "topsecret"}}},
        {"client": {"token": {"rsa_public_key": "topsecret"}}},
        {"client": {"token": {"hmac_secret_key": "-----BEGIN PUBLIC KEY-----topsecret"}}},
        {"providers": {"apns": {"private_key": "topsecret"}}},
    ],
)
def test_echoes_no_secret(layer: dict[str, Any]) -> None:
    text = "\n".join(problems_of(overrides=layer))
    assert "topsecret" not in text.replace("topsecret_", "")


def test_echoes_no_secret_of_the_environment() -> None:
    environ = {"HELIOGRAPH_HTTP_API__KEYS": '["topsecret"', "HELIOGRAPH_CLIENT__TOKEN__SECRET": "topsecret"}
    lines = problems_of(environ=environ)
    assert len(lines) == 2
    assert "topsecret" not in "\n".join(lines)


def test_shortens_long_values() -> None:
    [line] = problems_of(overrides={"client": {"ping_interval": "x" * 500}})
    assert len(line) < 200


@pytest.mark.parametrize(
    ("text", "place"),
    [("[client\n", "line 1, column 8"), ("a = 1\nb = \n", "line 2, column 5"), ('x = "', "end of document")],
)
def test_says_where_toml_is_broken(tmp_path: Path, text: str, place: str) -> None:
    file = write(tmp_path, text)
    [line] = problems_of(file)
    assert line.startswith(f"{file}: ")
    assert place in line


def test_reports_broken_toml_beside_bad_variables(tmp_path: Path) -> None:
    assert len(problems_of(write(tmp_path, "["), {"HELIOGRAPH_NOPE": "1"})) == 2


def test_refuses_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert problems_of(missing) == [f"{missing}: cannot be read: No such file or directory"]
    assert problems_of(tmp_path) == [f"{tmp_path}: cannot be read: Is a directory"]
    [line] = problems_of(write(tmp_path, b'a = "\xff"'))
    assert line.endswith("must be UTF-8 text, byte 6 is not")


@pytest.mark.parametrize(
    "variable",
    [
        "HELIOGRAPH_API_KEY",
        "HELIOGRAPH_CONFIG",
        "HELIOGRAPH_SERVICE_HOST",
        "HELIOGRAPH_SERVICE_PORT_HTTP",
        "HELIOGRAPH_PORT",
        "HELIOGRAPH_PORT_8000_TCP_ADDR",
        "HELIOGRAPHX__Y",
    ],
)
def test_leaves_variables_alone_that_are_not_settings(variable: str) -> None:
    load_settings(None, environ={variable: "x"})


@pytest.mark.parametrize(
    "variable", ["HELIOGRAPH_CLIENT", "HELIOGRAPH_CLIENT__", "HELIOGRAPH_CLIENT__TOKEN", "HELIOGRAPH_PORTS"]
)
def test_refuses_variables_that_no_setting_has(variable: str) -> None:
    [line] = problems_of(environ={variable: "topsecret"})
    assert line.startswith(f"{variable}: unknown variable")
    assert "topsecret" not in line


def test_reads_keys_when_they_are_loaded() -> None:
    good = pem_of(rsa.generate_private_key(public_exponent=65537, key_size=2048))
    curve = ec.generate_private_key(ec.SECP256R1())
    private = curve.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    tokens = {"rsa_public_key": good.replace("\n", "\\n"), "ecdsa_public_key": pem_of(curve)}
    providers = {"apns": {"private_key": private}, "webpush": {"vapid_private_key": private}}
    load_settings(None, overrides={"client": {"token": tokens}, "providers": providers}, environ={})

    tokens = {"rsa_public_key": pem_of(curve), "ecdsa_public_key": private, "eddsa_public_key": "x"}
    lines = problems_of(
        overrides={"client": {"token": tokens, "subscription_token": tokens}, "providers": {"apns": {"private_key": good}}}
    )
    assert lines == [
        line.format(section=section)
        for section in ("client.token", "client.subscription_token")
        for line in (
            "{section}.rsa_public_key: must be an RSA key, this PEM holds another kind",
            "{section}.ecdsa_public_key: must be a public key in PEM form, this is a private one",
            '{section}.eddsa_public_key: must be a public key in PEM form ("-----BEGIN PUBLIC KEY-----")',
        )
    ] + ['providers.apns.private_key: must be an unencrypted private key in PEM form ("-----BEGIN PRIVATE KEY-----")']


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["client", "token", "http", "port", "channel", "namespaces", "name", "url"]), inner)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.sampled_from(["client", "http", "channel", "store", "http_api", "x"]), trees))
@settings(deadline=None)
def test_answers_any_tree_with_settings_or_lines(tree: dict[str, Any]) -> None:
    try:
        load_settings(None, overrides=tree, environ={})
    except SettingsError as exc:
        assert exc.problems
        assert all("\n" not in line and ": " in line for line in exc.problems)
