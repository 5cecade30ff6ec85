"""Writes the Grafana dashboards in deploy/grafana: `.venv/bin/python scripts/dashboards.py`. A test holds the files to this."""

import json
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "deploy/grafana"
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_WIDTH, _HEIGHT, _COLUMNS = 8, 7, 3

_CALLS = "sum by (le, provider) (rate(heliograph_provider_call_seconds_bucket[$__rate_interval]))"

# Title, unit, and queries with their legends.
Panel = tuple[str, str, dict[str, str]]

GATEWAY: list[Panel] = [
    ("Connected clients", "short", {"sum by (instance) (heliograph_clients)": "{{instance}}"}),
    ("Users and rooms", "short", {"sum(heliograph_users)": "users", "sum(heliograph_rooms)": "rooms"}),
    ("Subscriptions", "short", {"sum(heliograph_subscriptions)": "subscriptions"}),
    (
        "Messages and frames to clients",
        "ops",
        {
            "sum(rate(heliograph_messages_written_total[$__rate_interval]))": "messages",
            "sum(rate(heliograph_frames_written_total[$__rate_interval]))": "frames",
        },
    ),
    ("Commands", "ops", {"sum by (command) (rate(heliograph_commands_total[$__rate_interval]))": "{{command}}"}),
    (
        "Command errors",
        "ops",
        {"sum by (code, class) (rate(heliograph_command_errors_total[$__rate_interval]))": "{{code}} {{class}}"},
    ),
    ("API calls", "ops", {"sum by (method) (rate(heliograph_api_calls_total[$__rate_interval]))": "{{method}}"}),
    (
        "API errors and refusals",
        "ops",
        {
            "sum by (code, class) (rate(heliograph_api_errors_total[$__rate_interval]))": "{{code}} {{class}}",
            "sum by (status) (rate(heliograph_api_refused_total[$__rate_interval]))": "HTTP {{status}}",
        },
    ),
    (
        "How long API calls take",
        "s",
        {
            f"histogram_quantile({share}, sum by (le) (rate(heliograph_api_call_seconds_bucket[$__rate_interval])))": name
            for share, name in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))
        },
    ),
    ("Closed connections", "ops", {"sum by (code) (rate(heliograph_disconnects_total[$__rate_interval]))": "{{code}}"}),
    (
        "Connections answered 503",
        "ops",
        {"sum by (reason) (rate(heliograph_connections_denied_total[$__rate_interval]))": "{{reason}}"},
    ),
    ("How late the event loop is", "s", {"heliograph_loop_lag_seconds": "{{instance}}"}),
    ("Dependencies that do not answer", "short", {"heliograph_dependency_away": "{{instance}} {{dependency}}"}),
    ("Memory", "bytes", {'process_resident_memory_bytes{job="heliograph"}': "{{instance}}"}),
    ("CPU, cores", "short", {'rate(process_cpu_seconds_total{job="heliograph"}[$__rate_interval])': "{{instance}}"}),
    (
        "Looks into caches",
        "ops",
        {
            "sum by (cache, level, result) (rate(heliograph_cache_looks_total[$__rate_interval]))": (
                "{{cache}} {{level}} {{result}}"
            ),
        },
    ),
    ("Audit", "ops", {"sum by (decision) (rate(heliograph_audit_records_total[$__rate_interval]))": "{{decision}}"}),
    ("Overrides in force", "short", {"max by (kind) (heliograph_override_active)": "{{kind}}"}),
]
PIPELINE: list[Panel] = [
    ("Steps that wait", "short", {"max by (lane) (heliograph_lane_waiting)": "{{lane}}"}),
    ("How long the oldest has waited", "s", {"max by (lane) (heliograph_lane_age_seconds)": "{{lane}}"}),
    (
        "Notifications that ended",
        "ops",
        {"sum by (state) (rate(heliograph_notifications_finished_total[$__rate_interval]))": "{{state}}"},
    ),
    (
        "Deliveries by provider",
        "ops",
        {"sum by (provider) (rate(heliograph_deliveries_total[$__rate_interval]))": "{{provider}}"},
    ),
    (
        "Deliveries by outcome",
        "ops",
        {"sum by (outcome) (rate(heliograph_deliveries_total[$__rate_interval]))": "{{outcome}}"},
    ),
    ("Calls under way", "short", {"sum by (provider) (heliograph_deliveries_under_way)": "{{provider}}"}),
    (
        "From notify to the provider's acceptance",
        "s",
        {
            f"histogram_quantile({share}, sum by (le, lane) (rate(heliograph_accepted_seconds_bucket[$__rate_interval])))": name
            for share, name in (("0.5", "{{lane}} p50"), ("0.95", "{{lane}} p95"))
        },
    ),
    (
        "How long calls to providers take, p95",
        "s",
        {f"histogram_quantile(0.95, {_CALLS})": "{{provider}}"},
    ),
    ("Breakers: 0 closed, 1 half open, 2 open", "short", {"max by (provider) (heliograph_breaker_state)": "{{provider}}"}),
    ("Paused providers", "short", {"max by (provider) (heliograph_provider_paused)": "{{provider}}"}),
    ("Guards against mass deletion", "short", {"max by (provider) (heliograph_deletion_guard)": "{{provider}}"}),
    ("Campaigns", "ops", {"sum by (result) (rate(heliograph_campaign_users_total[$__rate_interval]))": "{{result}}"}),
]
DASHBOARDS = {"gateway": ("heliograph: gateway", GATEWAY), "pipeline": ("heliograph: pipeline", PIPELINE)}


def render(name: str) -> str:
    """Write a dashboard as JSON."""
    title, panels = DASHBOARDS[name]
    return json.dumps(
        {
            "uid": f"heliograph-{name}",
            "title": title,
            "tags": ["heliograph"],
            "schemaVersion": 39,
            "editable": True,
            "refresh": "30s",
            "time": {"from": "now-1h", "to": "now"},
            "templating": {
                "list": [{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}]
            },
            "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
        },
        indent=1,
    )


def _panel(number: int, panel: Panel) -> dict[str, Any]:
    title, unit, queries = panel
    row, column = divmod(number, _COLUMNS)
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": _SOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _HEIGHT, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": query, "legendFormat": legend}
            for index, (query, legend) in enumerate(queries.items())
        ],
    }


if __name__ == "__main__":
    for dashboard in DASHBOARDS:
        FOLDER.joinpath(f"{dashboard}.json").write_text(render(dashboard) + "\n")
    sys.stdout.write(f"wrote {len(DASHBOARDS)} dashboards to {FOLDER.name}/\n")
