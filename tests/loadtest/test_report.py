"""The report is one valid page that needs nothing from elsewhere."""

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from loadtest.report import render_report
from loadtest.result import Environment, Failure, Figure, Latency, Percentile, Result, Second, ServerSample, Spread

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Balance(HTMLParser):
    """Follows open elements; raises on one that is closed out of turn, and keeps the tags and texts."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def make_result(**changes: Any) -> Result:
    seconds = [Second(at, {"deliveries": 100 * at}, 1.0, 9.0, 10, at > 0) for at in range(5)]
    result = Result(
        scenario="fanout",
        title="Fan-out to 10 subscribers",
        started_at="2026-01-01T00:00:00+00:00",
        is_complete=True,
        settings={"url": "127.0.0.1:8000", "rate_per_s": 1.5, "cpu_client": None},
        environment=Environment("a CPU", 2, 24.0, "Linux", "CPython 3.11", {"uvloop": "0.22"}),
        figures=[Figure("deliveries", 1234.5, "/s", "all together"), Figure("p99", None, "ms")],
        failures=[],
        warnings=[],
        latencies=[
            Latency(
                "publish to receive", "meaning", 5000, [Percentile(50.0, 1.0), Percentile(99.9, 9.0), Percentile(100.0, 12.0)]
            )
        ],
        plotted=["deliveries"],
        unit="deliveries/s",
        seconds=seconds,
        spread=[Spread("deliveries", 4, 100, 250, 400, 111.8)],
        server=[ServerSample(0.5, 50.0, 60.0), ServerSample(1.0, 75.0, 61.0)],
    )
    return msgspec.structs.replace(result, **changes)


def parse(page: str) -> Balance:
    parser = Balance()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_is_balanced_and_has_its_plots() -> None:
    page = render_report(make_result())
    assert page.startswith("<!doctype html>")
    parse(page)
    assert page.count("<svg") == 6
    assert "1,234" in page


def test_the_page_loads_nothing() -> None:
    page = render_report(make_result())
    addresses = set(re.findall(r"\w+://[^\s\"'<)]+", page)) - {"http://www.w3.org/2000/svg"}
    assert addresses == set()
    assert parse(page).tags.isdisjoint({"script", "link", "img", "iframe", "object"})
    assert "@import" not in page
    assert "url(" not in page


def test_failures_are_told_before_the_plots() -> None:
    page = render_report(make_result(failures=[Failure("lost", 3, "not received")]))
    assert page.index("There were failures") < page.index("<svg")
    assert "<b>3</b> × lost" in page
    assert "No failures" not in page


def test_a_run_that_ended_early_says_so() -> None:
    page = render_report(make_result(is_complete=False, warnings=["a warning"]))
    assert "ended early" in page
    assert "a warning" in page
    assert "No failures in the part that ran" in page


def test_what_a_server_says_cannot_become_markup() -> None:
    evil = '<script>alert("x")</script>'
    page = render_report(make_result(title=evil, failures=[Failure(evil, 1, evil)], warnings=[evil], settings={evil: evil}))
    assert "script" not in parse(page).tags


@pytest.mark.parametrize("changes", [{"seconds": []}, {"latencies": []}, {"server": []}, {"spread": []}, {"figures": []}])
def test_a_page_comes_out_of_whatever_was_measured(changes: dict[str, list[object]]) -> None:
    parse(render_report(make_result(**changes)))


def test_percentiles_beyond_the_last_value_are_left_out() -> None:
    latency = Latency("l", "m", 10, [Percentile(50.0, 1.0), Percentile(99.9, 2.0), Percentile(100.0, 2.0)])
    page = render_report(make_result(latencies=[latency]))
    assert ">p50<" in page
    assert ">p99.9<" not in page


def test_light_and_dark_are_both_styled() -> None:
    assert "prefers-color-scheme: dark" in render_report(make_result())


def test_a_result_survives_its_file() -> None:
    result = make_result()
    assert msgspec.json.decode(msgspec.json.encode(result), type=Result) == result
