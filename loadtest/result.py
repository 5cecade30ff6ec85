"""What a run found out: the one value that `result.json` holds and the report is drawn from."""

import msgspec

__all__ = ["Environment", "Failure", "Figure", "Latency", "Percentile", "Result", "Second", "ServerSample", "Spread"]


class Figure(msgspec.Struct, frozen=True):
    """One headline: a name, a value with its unit, and what it does not say by itself."""

    name: str
    value: float | None
    unit: str
    note: str = ""


class Failure(msgspec.Struct, frozen=True):
    """Something that must not happen, and how often it did."""

    name: str
    count: int
    meaning: str = ""


class Percentile(msgspec.Struct, frozen=True):
    """`percent` of all values are at most `value_ms`."""

    percent: float
    value_ms: float


class Latency(msgspec.Struct, frozen=True):
    """The distribution of one kind of latency."""

    name: str
    meaning: str
    count: int
    percentiles: list[Percentile]

    def at(self, percent: float) -> float | None:
        """The value at one of the kept percentiles, in ms; None when it is not kept."""
        return next((found.value_ms for found in self.percentiles if found.percent == percent), None)


class Second(msgspec.Struct, frozen=True):
    """One second of the run, from `at_s` seconds after its start."""

    at_s: int
    counts: dict[str, int]
    p50_ms: float | None
    p99_ms: float | None
    connected: int
    is_measured: bool = True


class ServerSample(msgspec.Struct, frozen=True):
    """The server's processes together, at one moment: CPU in per cent of one core since the sample before."""

    at_s: float
    cpu_percent: float
    rss_mib: float


class Spread(msgspec.Struct, frozen=True):
    """How even a rate was over the measured seconds."""

    name: str
    seconds: int
    lowest: float
    median: float
    highest: float
    deviation: float


class Environment(msgspec.Struct, frozen=True):
    """Where it was measured."""

    cpu: str
    cores: int
    memory_gib: float | None
    system: str
    python: str
    versions: dict[str, str]
    server: str = ""


class Result(msgspec.Struct, frozen=True):
    """A whole run. `plotted` names the counts that the throughput plot shows, in `unit`."""

    scenario: str
    title: str
    started_at: str
    is_complete: bool
    settings: dict[str, str | int | float | bool | None]
    environment: Environment
    figures: list[Figure]
    failures: list[Failure]
    warnings: list[str]
    latencies: list[Latency]
    plotted: list[str]
    unit: str
    seconds: list[Second]
    spread: list[Spread]
    server: list[ServerSample]
