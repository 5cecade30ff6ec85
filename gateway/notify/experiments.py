"""API method `experiment_results`."""

from broker.errors import NotFound
from broker.experiments import Experiments, wilson
from gateway.api.method import Method
from gateway.notify.template_messages import ExperimentResultsRequest, ExperimentResultsResult, VariantResultItem

__all__ = ["experiment_methods"]


class _Experiments:
    def __init__(self, experiments: Experiments) -> None:
        self._experiments = experiments

    async def results(self, request: ExperimentResultsRequest) -> ExperimentResultsResult:
        """Compare the variants of an experiment: how many of those that were told acknowledged, and how sure that is."""
        counted = await self._experiments.results(request.key)
        if not counted:
            raise NotFound("experiment")
        items = []
        for one in counted:
            # Somebody may acknowledge what an inbox showed them before any route did.
            trials = max(one.sent, one.acknowledged)
            interval = wilson(one.acknowledged, trials)
            share = one.acknowledged / trials if trials else 0.0
            item = VariantResultItem(one.variant, one.total, one.sent, one.acknowledged, share, interval.low, interval.high)
            items.append(item)
        return ExperimentResultsResult(items)


def experiment_methods(experiments: Experiments) -> list[Method]:
    """Make the method."""
    handle = _Experiments(experiments).results
    return [Method("experiment_results", ExperimentResultsRequest, handle, is_strict=True, group="Experiments")]
