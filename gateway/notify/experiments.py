"""API methods for experiments: what they came to, and which variant is told from now on."""

import functools
from typing import Final

from msgspec import UNSET, UnsetType

from broker.errors import BadInput, NotFound
from broker.experiments import Experiments, Pick, leader, wilson
from gateway.api.method import Method
from gateway.notify.template_messages import (
    ExperimentPickRequest,
    ExperimentPickResult,
    ExperimentResultsRequest,
    ExperimentResultsResult,
    LeadItem,
    VariantResultItem,
)
from gateway.notify.wording import check_experiment

__all__ = ["experiment_methods"]

_CONFIDENCE: Final = 0.95
_MOST_TRIALS: Final = 1_000_000_000


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
            interval = wilson(one.acknowledged, one.trials)
            counts = (one.variant, one.total, one.sent, one.acknowledged, one.share)
            items.append(VariantResultItem(*counts, interval.low, interval.high, one.is_control or UNSET))
        lead, pick = leader(counted), await self._experiments.pick_of(request.key)
        return ExperimentResultsResult(
            items,
            UNSET if lead is None else LeadItem(lead.variant, lead.p_value),
            UNSET if pick is None or not pick.variant else pick.variant,
        )

    async def pick(self, request: ExperimentPickRequest) -> ExperimentPickResult:
        """Have everybody told one variant from now on: the one that is named, or the one that is ahead after so many."""
        check_experiment(request.experiment)
        if (request.variant is UNSET) == (request.after is UNSET):
            raise BadInput("variant", "exactly one of variant and after must be given")
        if not isinstance(request.variant, UnsetType):
            if request.confidence is not UNSET:
                raise BadInput("confidence", "must only be given beside after")
            await self._pick_by_hand(request.experiment, request.variant)
            return ExperimentPickResult(request.variant)
        assert not isinstance(request.after, UnsetType)
        if not 1 <= request.after <= _MOST_TRIALS:
            raise BadInput("after", f"must be from 1 to {_MOST_TRIALS}")
        confidence = _CONFIDENCE if isinstance(request.confidence, UnsetType) else request.confidence
        if not 0.5 <= confidence < 1:
            raise BadInput("confidence", "must be from 0.5 to below 1")
        await self._experiments.pick(Pick(request.experiment, "", request.after, confidence))
        return ExperimentPickResult("")

    async def _pick_by_hand(self, experiment: str, variant: str) -> None:
        if not variant:
            await self._experiments.take_back(experiment)
            return
        found = {one.variant: one for one in await self._experiments.results(experiment)}
        if not found:
            raise NotFound("experiment")
        if variant not in found:
            raise BadInput("variant", "must be a variant of the experiment that somebody got")
        if found[variant].is_control:
            raise BadInput("variant", "must not be the control group: it is told nothing")
        await self._experiments.pick(Pick(experiment, variant))


def experiment_methods(experiments: Experiments) -> list[Method]:
    """Make the methods."""
    handle = _Experiments(experiments)
    method = functools.partial(Method, is_strict=True, group="Experiments")
    return [
        method("experiment_results", ExperimentResultsRequest, handle.results),
        method("experiment_pick", ExperimentPickRequest, handle.pick),
    ]
