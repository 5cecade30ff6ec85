"""What a node tells Prometheus of rules: refusals by the rule that decided, and how policies are asked."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.node import Node

__all__ = ["rule_metrics"]


def rule_metrics(node: Node) -> Iterable[Metric]:
    """Read the node's counters. Rules are those that an operator wrote, at most a thousand told apart."""
    denied = CounterMetricFamily("heliograph_denials", "What was refused, by the rule that decided", labels=["action", "rule"])
    for (action, rule), count in sorted(node.denials.counts.items()):
        denied.add_metric([action, rule], count)
    yield denied
    trial = CounterMetricFamily(
        "heliograph_policy_trial_differences", "What a policy on trial would decide otherwise", labels=["action", "rule"]
    )
    for (action, rule), count in sorted(node.denials.trial_counts.items()):
        trial.add_metric([action, rule], count)
    yield trial
    statistics = node.policies.statistics()
    yield CounterMetricFamily("heliograph_policy_decisions", "Questions to policies", statistics.asked)
    yield CounterMetricFamily(
        "heliograph_policy_decisions_remembered", "Questions to policies that were answered from memory", statistics.remembered
    )
    rules = GaugeMetricFamily("heliograph_policy_rules", "Rules of policies, by what they are for", labels=["mode"])
    rules.add_metric(["enforced"], statistics.rules)
    rules.add_metric(["dry_run"], statistics.trial_rules)
    yield rules
