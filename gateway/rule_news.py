"""How a change of rules gets about: in force here before its answer, and told to the other nodes."""

from broker.control import Control, RulesChanged
from broker.errors import EngineUnavailable
from broker.rules import Subject
from config.logs import get_logger
from gateway.rule_watch import RuleWatch

__all__ = ["RuleNews"]

_log = get_logger()


class RuleNews:
    """What whoever changes rules needs beside their store."""

    def __init__(self, watch: RuleWatch, control: Control) -> None:
        self._watch, self._control = watch, control

    async def tell(self, subject: Subject, version: int) -> None:
        """Put a change that is stored in force.

        An engine that does not answer is no failure of the change: the other nodes find it by comparing versions.

        Raises:
            StoreUnavailable: It is stored; this node finds it at its next look.
        """
        await self._watch.check()
        try:
            await self._control.send(RulesChanged(subject.value, version))
        except EngineUnavailable:
            _log.warning("rules.not_told", subject=subject.value, version=version)
