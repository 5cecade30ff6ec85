"""The log chain as an operator meets it, and what is shown of secrets and addresses."""

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from config.correlation import CORRELATION_ID
from config.logs import configure_logging, get_logger, mask_address, mask_token


@pytest.fixture(autouse=True)
def _other_tests_keep_their_logging():
    handlers = logging.root.handlers[:]
    yield
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers


@pytest.fixture
def shown(capsys) -> Callable[[], str]:
    """What has come out on standard error since the last call."""
    return lambda: capsys.readouterr().err


@pytest.fixture
def lines(shown) -> Callable[[], list[dict[str, Any]]]:
    return lambda: [json.loads(line) for line in shown().splitlines()]


def test_an_event_is_one_line_of_json_with_its_keys_level_and_time(lines):
    configure_logging()
    get_logger().info("client.connected", user="42", took_s=0.5)
    [line] = lines()
    assert {key: line[key] for key in ("event", "user", "took_s", "level")} == {
        "event": "client.connected",
        "user": "42",
        "took_s": 0.5,
        "level": "info",
    }
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_what_is_below_the_level_stays_silent(lines, level, expected):
    configure_logging(level)
    log = get_logger()
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("thing.happened")
    assert [line["level"] for line in lines()] == expected


def test_the_id_of_a_request_is_in_every_line_written_for_it(lines):
    configure_logging()
    bound = CORRELATION_ID.set("r1")
    get_logger().info("api.called")
    get_logger().info("api.called", correlation_id="of another")
    CORRELATION_ID.reset(bound)
    get_logger().info("api.called")
    assert [line.get("correlation_id") for line in lines()] == ["r1", "of another", None]


@pytest.mark.parametrize(
    "key", ["token", "key", "api_key", "secret", "password", "authorization", "private_key", "body", "data"]
)
@pytest.mark.parametrize("style", ["json", "console"])
def test_a_secret_that_entered_a_call_is_not_shown(shown, key, style):
    configure_logging(style=style)
    get_logger().info("thing.happened", **{key: "s3cr3t-v4lue"})
    line = shown()
    assert "thing.happened" in line
    assert key in line
    assert "s3cr3t-v4lue" not in line


def test_an_exception_is_shown_with_its_traceback(lines):
    configure_logging()
    try:
        raise LookupError("nowhere")
    except LookupError:
        get_logger().exception("thing.failed")
    [line] = lines()
    assert "LookupError: nowhere" in line["exception"]
    assert line["level"] == "error"


def test_a_console_line_is_for_people(shown):
    configure_logging(style="console")
    get_logger().info("client.connected", user="42")
    line = shown()
    assert "client.connected" in line
    assert not line.startswith("{")


@pytest.mark.parametrize(("is_terminal", "is_json"), [(True, False), (False, True)])
def test_auto_is_for_people_on_a_terminal_only(shown, monkeypatch, is_terminal, is_json):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal, raising=False)
    configure_logging(style="auto")
    get_logger().info("client.connected")
    assert shown().startswith("{") is is_json


# What is shown of secrets


@pytest.mark.parametrize(
    ("token", "shown"),
    [("", "…"), ("ab", "…"), ("abc", "a…"), ("abcdef", "ab…"), ("abcdefghijklmnopqr", "abcdef…"), ("x" * 500, "xxxxxx…")],
)
def test_a_token_shows_its_beginning(token, shown):
    assert mask_token(token) == shown


@given(st.text(min_size=1))
def test_most_of_a_token_stays_hidden(token):
    shown = mask_token(token).removesuffix("…")
    assert token.startswith(shown)
    assert len(shown) <= min(6, len(token) / 3)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("ann@example.org", "a…@example.org"),
        ("a@b", "a…@b"),
        ("@b", "…@b"),
        ("a@b@example.org", "a…@example.org"),
        ("0f" * 32, "0f0f0f…"),
        ("", "…"),
    ],
)
def test_an_address_can_be_recognised_and_not_used(address, shown):
    assert mask_address(address) == shown


def test_a_logger_outlives_a_redirection_of_standard_error(monkeypatch, capsys):
    import io

    gone = io.StringIO()
    with monkeypatch.context() as redirected:
        redirected.setattr(sys, "stderr", gone)
        configure_logging()
        log = get_logger()
        log.info("first.line")
        gone_text = gone.getvalue()
    gone.close()
    log.info("second.line")
    assert "first.line" in gone_text
    assert "second.line" in capsys.readouterr().err
