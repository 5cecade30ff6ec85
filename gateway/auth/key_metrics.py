"""What the keys of issuers tell Prometheus, and an operator.

| metric | labels | says |
|---|---|---|
| `heliograph_issuer_keys` | issuer | keys that are held and can verify tokens |
| `heliograph_issuer_keys_age_seconds` | issuer | time since they were fetched; absent while there never were any |
| `heliograph_issuer_key_fetches_total` | issuer, outcome | fetches by how they ended: `fetched`, `failed` |

`issuer` is a name from the settings (`default` for `client.token` itself). Issuers whose keys stand in the settings have none.
"""

from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.auth.key_source import KeySourceState

__all__ = ["key_concerns", "key_metrics"]


def key_metrics(states: Sequence[KeySourceState]) -> Iterable[Metric]:
    """Write what is held; of no issuer there are no metrics."""
    if not states:
        return
    keys = GaugeMetricFamily("heliograph_issuer_keys", "Published keys that are held", labels=["issuer"])
    age = GaugeMetricFamily("heliograph_issuer_keys_age_seconds", "Time since they were fetched", labels=["issuer"])
    fetches = CounterMetricFamily("heliograph_issuer_key_fetches", "Fetches of published keys", labels=["issuer", "outcome"])
    for state in states:
        keys.add_metric([state.name], state.keys)
        if state.age_s is not None:
            age.add_metric([state.name], state.age_s)
        fetches.add_metric([state.name, "fetched"], state.fetches - state.failures)
        fetches.add_metric([state.name, "failed"], state.failures)
    yield keys
    yield age
    yield fetches


def key_concerns(states: Sequence[KeySourceState]) -> list[str]:
    """Write a line for each issuer whose keys could not be fetched the last time."""
    return [f"keys of issuer {state.name}: {state.error}, {_held(state)}" for state in states if state.error]


def _held(state: KeySourceState) -> str:
    if state.age_s is None:
        return "there are none, so that its tokens cannot be judged"
    return f"those of {round(state.age_s)} s ago are used"
