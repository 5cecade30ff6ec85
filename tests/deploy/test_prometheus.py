"""Alerts, dashboards and the page of metrics, with the real Prometheus and promtool before a running server."""

import importlib.util
import json
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
PAGE = ROOT / "docs/metrics.md"
GUARD_S = 60  # only ends a hang
ROW = re.compile(r"^\| `(heliograph_\w+)` \| (\w+) \|([^|]*)\| ([^|]+) \| `(.+)` \|$", re.M)


def program(name: str) -> str:
    from shutil import which

    found = which(name, path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    assert found, f"{name} is needed: on Debian `apt-get install prometheus`"
    return found


def load_dashboards():
    spec = importlib.util.spec_from_file_location("dashboards", ROOT / "scripts/dashboards.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rows_by_section():
    sections = {}
    for part in PAGE.read_text().split("\n## ")[1:]:
        sections[part.partition("\n")[0]] = ROW.findall(part)
    return sections


def test_every_alert_fires_where_it_should():
    for arguments in (
        ["check", "rules", "alerts.yml"],
        ["check", "config", "prometheus.yml"],
        ["test", "rules", "alerts_test.yml"],
    ):
        done = subprocess.run([program("promtool"), *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_is_without_its_proof():
    rules = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    alerts = {rule["alert"] for rule in rules if "alert" in rule}
    cases = [
        one for test in yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"] for one in test["alert_rule_test"]
    ]
    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts


def test_dashboards_are_those_of_the_script():
    dashboards = load_dashboards()
    for name in dashboards.DASHBOARDS:
        written = (ROOT / f"deploy/grafana/{name}.json").read_text()
        assert written == dashboards.render(name) + "\n", "run: .venv/bin/python scripts/dashboards.py"


def test_alerts_and_dashboards_use_documented_metrics_only():
    documented = {name for rows in rows_by_section().values() for name, *_ in rows}
    texts = [(PROMETHEUS / "alerts.yml").read_text(), *(path.read_text() for path in (ROOT / "deploy/grafana").glob("*.json"))]
    used = {name for text in texts for name in re.findall(r"\bheliograph_[a-z_0-9]+", text)}
    assert {re.sub("_(bucket|sum|count)$", "", name) for name in used} <= documented


@dataclass
class Watched:
    """A server under some load, and a Prometheus that scrapes it."""

    metrics: str
    api: str

    def query(self, expression: str) -> list[dict]:
        answer = httpx.get(f"{self.api}/api/v1/query", params={"query": expression}, timeout=GUARD_S).json()
        assert answer["status"] == "success", (expression, answer)
        return answer["data"]["result"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(holds, process, log: Path):
    deadline = time.monotonic() + GUARD_S
    while not holds():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Watched]:
    directory = tmp_path_factory.mktemp("watched")
    port, prometheus_port = free_port(), free_port()
    base = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("heliograph")), "serve", "--dev", "--port", str(port)]
    with (directory / "server.log").open("w") as log:
        server = subprocess.Popen(
            command,
            cwd=directory,
            stdout=log,
            stderr=log,
            env={"PATH": "/usr/bin:/bin", "HELIOGRAPH_PROMETHEUS__ENABLED": "true"},
        )
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(PROMETHEUS / "alerts.yml")],
        "scrape_configs": [{"job_name": "heliograph", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
    }
    (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
    with (directory / "prometheus.log").open("w") as log:
        prometheus = subprocess.Popen(
            [
                program("prometheus"),
                f"--config.file={directory}/prometheus.yml",
                f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address=127.0.0.1:{prometheus_port}",
            ],
            stdout=log,
            stderr=log,
        )
    found = Watched(f"{base}/metrics", f"http://127.0.0.1:{prometheus_port}")
    try:
        until(lambda: "API key: " in (directory / "server.log").read_text(), server, directory / "server.log")
        until(lambda: _answers(port), server, directory / "server.log")  # the key is told before the port answers
        key = re.search("API key: (.+)", (directory / "server.log").read_text())[1]
        api = httpx.Client(base_url=f"{base}/api", headers={"X-API-Key": key}, timeout=GUARD_S)
        api.post("/device_register", json={"user": "ann", "provider": "fcm", "token": "ann-phone"})
        for _ in range(3):
            for method, body in (
                ("publish", {"channel": "news", "data": 1}),
                ("notify", {"user": "ann", "title": "Tide", "routes": ["push"]}),
                ("publish", {"channel": "", "data": 1}),
            ):
                api.post(f"/{method}", json=body)
            httpx.post(f"{base}/api/info", json={})
            time.sleep(1)
        until(lambda: _has_scraped(found), prometheus, directory / "prometheus.log")
        yield found
    finally:
        for process in (prometheus, server):
            process.terminate()
            process.wait(GUARD_S)


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _has_scraped(found: Watched) -> bool:
    try:
        counted = found.query('count_over_time(up{job="heliograph"}[1m])')
        return bool(counted) and float(counted[0]["value"][1]) >= 5
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_the_page_tells_what_a_node_answers(watched):
    told = httpx.get(watched.metrics, timeout=GUARD_S).text
    exposed = {}
    for family in text_string_to_metric_families(told):
        if family.name.startswith("heliograph_"):
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            exposed[name] = (family.type, labels)
    sections = rows_by_section()
    documented = {
        name: (kind, set(re.findall("`([^`]+)`", labels))) for rows in sections.values() for name, kind, labels, *_ in rows
    }
    assert {name: documented.get(name) for name, (_, labels) in exposed.items() if labels} == {
        name: told for name, told in exposed.items() if told[1]
    }
    assert set(exposed) <= set(documented)
    optional = {name for name, *_ in sections["Where they are switched on"]}
    assert set(documented) - optional <= set(exposed)


@pytest.mark.slow
def test_every_query_is_understood_and_finds_what_there_is(watched):
    dashboards = load_dashboards()
    panels = [query for _, rows in dashboards.DASHBOARDS.values() for _, _, queries in rows for query in queries]
    documented = {query: section for section, rows in rows_by_section().items() for *_, query in rows}
    rules = [rule for group in yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    for rule in rules:
        watched.query(rule["expr"])
    asked = [query for query in [*panels, *documented] if documented.get(query) != "Where they are switched on"]
    silent = [query for query in asked if not watched.query(query.replace("$__rate_interval", "30s"))]
    # Nobody was connected, slow, denied or away, nothing failed and no campaign ran: all else must answer.
    quiet = re.compile('command|disconnect|denied|denials|trial|"system"|== |_campaign_|subscriptions\\)')
    assert "\n".join(query for query in silent if not quiet.search(query)) == ""


@pytest.mark.slow
def test_prometheus_takes_the_alerts_up(watched):
    answer = httpx.get(f"{watched.api}/api/v1/rules", timeout=GUARD_S).json()
    rules = [rule for group in answer["data"]["groups"] for rule in group["rules"]]
    assert len(rules) > 20 and all(rule["health"] in {"ok", "unknown"} for rule in rules), json.dumps(rules)[:2000]
