"""Commands and calls as Prometheus sees them: requests by name, errors by code and class, and how long calls took."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from gateway.api.explained import class_of_api_error
from gateway.protocol.error_classes import ErrorClass, class_of_error
from gateway.tallies import CallTally, CommandTally

__all__ = ["call_metrics", "command_metrics"]


def command_metrics(tally: CommandTally) -> Iterable[Metric]:
    """Tell of the commands of clients."""
    commands = CounterMetricFamily("heliograph_commands", "Commands of clients, by name", labels=["command"])
    for kind, count in sorted(tally.commands.items()):
        commands.add_metric([kind], count)
    yield commands
    errors = CounterMetricFamily(
        "heliograph_command_errors",
        "Commands that failed, by name, code and whose matter it is",
        labels=["command", "code", "class"],
    )
    for (kind, code), count in sorted(tally.errors.items()):
        errors.add_metric([kind, str(code), class_of_error(code)], count)
    yield errors


def call_metrics(tally: CallTally) -> Iterable[Metric]:
    """Tell of the calls of the server API."""
    calls = CounterMetricFamily("heliograph_api_calls", "Calls of the server API that ended, by method", labels=["method"])
    errors = CounterMetricFamily(
        "heliograph_api_errors", "Calls that failed, by method, code and whose matter it is", labels=["method", "code", "class"]
    )
    seconds = HistogramMetricFamily("heliograph_api_call_seconds", "How long calls took", labels=["method"])
    for name, method in sorted(tally.methods.items()):
        calls.add_metric([name], sum(method.by_code.values()))
        for code, count in sorted(method.by_code.items()):
            if code:
                errors.add_metric([name, str(code), class_of_api_error(code)], count)
        seconds.add_metric([name], method.timings.cumulated(), method.timings.seconds)
    yield calls
    yield errors
    yield seconds
    refused = CounterMetricFamily(
        "heliograph_api_refused",
        "Requests that reached no method, by HTTP status and whose matter it is",
        labels=["status", "class"],
    )
    for status, count in sorted(tally.refused.items()):
        refused.add_metric([str(status), _class_of_status(status)], count)
    yield refused


def _class_of_status(status: int) -> ErrorClass:
    if status >= 500:
        return ErrorClass.SYSTEM
    return ErrorClass.BUSINESS if status in {403, 429} else ErrorClass.USER
