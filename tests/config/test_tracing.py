"""What carries a trace: texts from outside, what is stored, and what follows hours later; and that logs name spans."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from config.logs import configure_logging, get_logger
from config.tracing import NO_TRACING, Kind, active, below, carried, checked, current, follow, linked, stored
from config.tracing_sdk import SdkTracing, sending_processor
from config.tracing_settings import TracingSettings

SAMPLED = f"00-{'a' * 32}-{'b' * 16}-01"
UNSAMPLED = f"00-{'a' * 32}-{'b' * 16}-00"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Written:
    """A tracing whose spans are kept in memory."""

    def __init__(self, ratio: float) -> None:
        self.exporter = InMemorySpanExporter()
        settings = TracingSettings(enabled=True, sample_ratio=ratio)
        self.tracing = SdkTracing(settings, SimpleSpanProcessor(self.exporter), instance="one", version="1")

    @property
    def names(self) -> list[str]:
        return [span.name for span in self.exporter.get_finished_spans()]


@pytest.fixture
def always() -> Written:
    return Written(1.0)


@pytest.fixture
def never() -> Written:
    return Written(0.0)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (SAMPLED, SAMPLED),
        (UNSAMPLED, UNSAMPLED),
        (f" {SAMPLED} ", SAMPLED),
        (SAMPLED[:-2] + "03", SAMPLED),  # flags that we do not know are not passed on
        ("cc" + SAMPLED[2:] + "-more", SAMPLED),  # a later version
        ("", ""),
        ("ff" + SAMPLED[2:], ""),
        (SAMPLED + "-more", ""),
        (SAMPLED.upper(), ""),
        (f"00-{'0' * 32}-{'b' * 16}-01", ""),
        (f"00-{'a' * 32}-{'0' * 16}-01", ""),
        (SAMPLED[:-1], ""),
        ("cc" + SAMPLED[2:] + "-" + "x" * 600, ""),
    ],
)
def test_a_traceparent_is_read_by_the_letter_or_not_at_all(text, read):
    assert checked(text) == read


@given(st.text())
def test_no_text_from_outside_breaks_anything(text):
    assert checked(text) in ("", text.strip())


def test_what_is_below_something_sampled_is_sampled_whatever_the_ratio(never, always):
    never.tracing.begin("below", parent=SAMPLED).end()
    never.tracing.begin("root").end()
    always.tracing.begin("below", parent=UNSAMPLED).end()
    assert never.names == ["below"]
    assert always.names == []


def test_a_parent_that_cannot_be_read_begins_a_trace(always):
    span = always.tracing.begin("root", parent="00-zz", tracestate="=")
    span.end()
    assert always.exporter.get_finished_spans()[0].parent is None
    assert span.is_sampled


def test_a_tracestate_is_kept_on_the_way(always):
    span = always.tracing.begin("server", Kind.SERVER, parent=SAMPLED, tracestate="vendor=1")
    child = span.begin("call", Kind.CLIENT)
    assert carried(child) == {"traceparent": child.traceparent, "tracestate": "vendor=1"}
    assert child.traceparent.split("-")[1] == "a" * 32


def test_a_link_to_what_is_written_has_the_follower_written(never):
    never.tracing.begin("follower", links=(SAMPLED,)).end()
    never.tracing.begin("stranger", links=(UNSAMPLED,)).end()
    (span,) = never.exporter.get_finished_spans()
    assert span.name == "follower"
    assert span.parent is None
    assert span.links[0].context.trace_id == int("a" * 32, 16)


def test_what_follows_within_the_hour_is_of_the_trace_and_later_is_linked():
    assert follow(SAMPLED, since=NOW, now=NOW + timedelta(minutes=59)) == (SAMPLED, ())
    assert follow(SAMPLED, since=NOW, now=NOW + timedelta(minutes=61)) == ("", (SAMPLED,))
    assert follow(linked(SAMPLED), since=NOW, now=NOW) == ("", (SAMPLED,))
    assert linked(linked(SAMPLED)) == linked(SAMPLED)
    assert linked("") == ""


def test_what_is_made_of_many_is_linked_to_each_once_and_to_no_end():
    other = SAMPLED.replace("a", "c")
    assert follow(linked(SAMPLED, "", other, linked(SAMPLED)), since=NOW, now=NOW).links == (SAMPLED, other)
    many = [SAMPLED.replace("a" * 32, f"{number:032x}") for number in range(1, 100)]
    assert follow(linked(*many), since=NOW, now=NOW).links == tuple(many[-32:])


def test_only_what_is_sampled_is_stored(always, never):
    assert stored() == ""
    with active(never.tracing.begin("unsampled")):
        assert stored() == ""
    with active(span := always.tracing.begin("sampled")):
        assert stored() == span.traceparent


def test_there_is_a_current_span_only_within(always):
    assert current() is None
    assert below("nothing") is None
    assert carried(below("nothing")) == {}
    span = always.tracing.begin("outer")
    with active(span):
        child = below("inner")
        assert child is not None
        child.fail("timeout")
        child.end()
    span.end()
    assert current() is None
    inner, outer = always.exporter.get_finished_spans()
    assert inner.parent.span_id == outer.context.span_id
    assert inner.attributes["error.type"] == "timeout"
    assert not inner.status.is_ok


def test_a_log_line_names_its_span(always, never, capsys):
    configure_logging(style="json")
    span = always.tracing.begin("work")
    with active(span):
        get_logger().info("thing.happened")
    with active(never.tracing.begin("work")):
        get_logger().info("thing.happened")
    named, unnamed = map(json.loads, capsys.readouterr().err.splitlines())
    assert (named["trace_id"], named["span_id"]) == span.ids
    assert "trace_id" not in unnamed


def test_what_is_off_is_never_asked():
    assert not NO_TRACING.is_on
    with pytest.raises(AssertionError, match="is_on"):
        NO_TRACING.begin("anything")


async def test_a_collector_that_is_away_costs_its_spans_and_a_line(capsys):
    configure_logging(style="json")
    settings = TracingSettings(enabled=True, sample_ratio=1.0, endpoint="http://127.0.0.1:9/v1/traces", timeout="200ms")
    tracing = SdkTracing(settings, sending_processor(settings), instance="one", version="1")
    for _ in range(10_000):
        tracing.begin("span").end()
    await tracing.close()
    events = {json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()}
    assert events & {"tracing.unsent", "tracing.cut_off"}


@pytest.mark.parametrize(
    ("modules", "unwanted"),
    [
        ("gateway.node, gateway.app, pushers.pipeline, broker.store.store", "opentelemetry"),
        # The client of Redis imports what it finds of OpenTelemetry's metrics, whether or not anybody asks for them.
        ("heliograph.cli, heliograph.serve, heliograph.process", "opentelemetry.exporter"),
        ("heliograph.cli, heliograph.serve, heliograph.process", "config.tracing_sdk"),
    ],
)
def test_the_library_is_not_imported_where_nothing_is_traced(modules, unwanted):
    opened = "from heliograph.tracing import open_tracing; from config.settings import Settings" if "process" in modules else ""
    asked = "open_tracing(Settings(), instance='one')" if opened else ""
    code = f"import sys, {modules}\n{opened}\n{asked}\nsys.exit({unwanted!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_the_extra_the_start_says_what_to_install():
    code = """
import sys
sys.modules["opentelemetry"] = None  # as if it were not installed
from config.errors import SettingsError
from config.settings import Settings
from heliograph.tracing import open_tracing
try:
    open_tracing(Settings(tracing={"enabled": True}), instance="one")
except SettingsError as exc:
    print(*exc.problems)
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert said.startswith("tracing.enabled: needs the extra `tracing`: ")
    assert said.endswith("-m pip install 'heliograph[tracing]'\n")


def test_headers_are_secret_pairs():
    settings = TracingSettings(headers=("Authorization: Bearer x:y",))
    assert settings.header_map == {"authorization": "Bearer x:y"}
    assert "Bearer" not in repr(settings)
    for wrong in ("no colon", ": value", "a: b\nc: d"):
        with pytest.raises(ValueError, match="name: value"):
            TracingSettings(headers=(wrong,))
