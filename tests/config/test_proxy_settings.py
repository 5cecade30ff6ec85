"""Settings of event proxies: what they insist on, and that their secrets stay hidden."""

from pathlib import Path

import pytest

from config.display import show_settings
from config.errors import SettingsError
from config.loader import load_settings, load_with_origins
from config.readiness import advise

HEAD = "[client.proxy.connect]\nenabled = true\nendpoint = 'https://backend/connect'\n"


def load(tmp_path: Path, text: str, environ: dict[str, str] | None = None):
    file = tmp_path / "heliograph.toml"
    file.write_text(text)
    return load_with_origins(file, environ=environ or {})


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[rpc.proxy]\nenabled = true", "rpc.proxy: enabled needs an endpoint that begins with http:// or https://"),
        ("[rpc.proxy]\nenabled = true\nendpoint = 'grpc://x'", "enabled needs an endpoint"),
        (HEAD + "timeout = '0'", "timeout must be above 0"),
        (HEAD + "http_headers = ['Content-Length']", "must not name Content-Length"),
        (HEAD + "emulated_headers = ['a b']", "must be names of headers"),
        (HEAD + "static_headers = {'a:b' = 'c'}", "must be names of headers"),
        (HEAD + "status_to_code_transforms = [{status_code = 404}]", "set the code of either to_error or to_disconnect"),
        (
            HEAD + "status_to_code_transforms = [{status_code = 404, to_disconnect.code = 5}]",
            "to_disconnect.code must be from 3000 to 4999",
        ),
        (
            HEAD + "status_to_code_transforms = [{status_code = 200, to_error.code = 5}]",
            "status_code must not be 200",
        ),
        (
            "[channel.without_namespace]\nsubscribe_proxy_enabled = true",
            "channel.without_namespace.subscribe_proxy_enabled: needs channel.proxy.subscribe.enabled",
        ),
        (
            "[channel]\nnamespaces = [{name = 'ab'}, {name = 'cd', publish_proxy_name = 'nobody'}]",
            'channel.namespaces[1].publish_proxy_name: must be default or the name of one of proxies (got "nobody")',
        ),
        (
            "[channel.without_namespace]\nsub_refresh_proxy_name = 'nobody'",
            "channel.without_namespace.sub_refresh_proxy_name: must be default",
        ),
        ("[rpc]\nnamespaces = [{name = 'ab', proxy_name = 'nobody'}]", "rpc.namespaces[0].proxy_name: must be default"),
        ("[rpc.without_namespace]\nproxy_name = ''", "rpc.without_namespace.proxy_name: must be default"),
        ("proxies = [{name = 'ab'}]", "proxies[0]: a proxy needs an endpoint that begins with http:// or https://"),
        ("proxies = [{endpoint = 'http://x'}]", "proxies[0].name: must be set"),
        ("proxies = [{name = 'default', endpoint = 'http://x'}]", "proxies[0].name: must not be default"),
        ("proxies = [{name = 'a b', endpoint = 'http://x'}]", "proxies[0].name: must be two or more of the characters"),
        ("proxies = [{name = 'ab', endpoint = 'http://x', timeout = '0'}]", "proxies[0]: timeout must be above 0"),
        (
            "proxies = [{name = 'ab', endpoint = 'http://x'}, {name = 'ab', endpoint = 'http://y'}]",
            "proxies: names must differ; twice: ab",
        ),
        ("[rpc]\nnamespaces = [{name = 'ab'}, {name = 'ab'}]", "names must differ"),
    ],
)
def test_what_proxies_insist_on(tmp_path, text, line):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, text)
    assert line in str(caught.value)


def test_all_names_that_lead_nowhere_are_told_at_once(tmp_path):
    options = "".join(f"{event}_proxy_name = 'nobody'\n" for event in ("subscribe", "publish", "sub_refresh"))
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, f"[channel.without_namespace]\n{options}")
    assert len(caught.value.problems) == 3


def test_a_named_proxy_stands_for_the_one_of_the_event(tmp_path):
    text = """
        proxies = [{name = "orders", endpoint = "http://orders/", static_headers = {Authorization = "hidden-word"}}]
        channel.namespaces = [{name = "ab", subscribe_proxy_enabled = true, subscribe_proxy_name = "orders"}]
    """
    loaded = load(tmp_path, text)
    assert loaded.settings.channel.namespaces[0].subscribe_proxy_name == "orders"
    assert advise(loaded.settings) == advise(load(tmp_path, "").settings)
    assert "hidden-word" not in repr(list(show_settings(loaded)))


def test_advises_of_a_named_proxy_that_nobody_asks(tmp_path):
    text = "proxies = [{name = 'orders', endpoint = 'http://x'}]\n[channel.without_namespace]\nsubscribe_proxy_name = 'orders'"
    lines = advise(load(tmp_path, text).settings)
    assert "proxies[0]: is never asked, as no namespace that asks a proxy names orders" in lines


def test_headers_may_be_secrets_and_are_not_shown(tmp_path):
    loaded = load(tmp_path, HEAD + "static_headers = {Authorization = 'Bearer hidden-word'}")
    [shown] = [line for line in show_settings(loaded) if line.path == "client.proxy.connect.static_headers"]
    assert shown.value == '{ "Authorization" = "…" }'
    assert shown.origin.endswith("heliograph.toml")
    assert "hidden-word" not in repr(loaded.settings)


def test_a_header_of_a_wrong_type_is_not_shown(tmp_path):
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, HEAD + "static_headers = {Authorization = 4711}")
    assert "client.proxy.connect.static_headers.Authorization: must be text" in str(caught.value)
    assert "4711" not in str(caught.value)


def test_headers_from_the_environment_are_json():
    variable = "HELIOGRAPH_RPC__PROXY__STATIC_HEADERS"
    settings = load_settings(None, environ={variable: '{"X-Key": "k"}'})
    assert settings.rpc.proxy.static_headers["X-Key"].get_secret_value() == "k"
    with pytest.raises(SettingsError, match="must be a JSON object such as"):
        load_settings(None, environ={variable: "X-Key: k"})
