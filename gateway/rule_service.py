"""The rules of a node as they stand in the store: read before anybody is served, watched, changed by the API."""

import asyncio
from collections.abc import Collection
from typing import Protocol

from broker.api_keys import ApiKeys
from broker.control import Control
from broker.overrides import Overrides
from broker.policies import Mode, Policies, PolicyVersion
from broker.present_overrides import PresentOverrides
from broker.roles import Roles
from broker.rules import RuleVersions, Subject
from config.clock import Clock
from config.errors import SettingsError
from config.logs import get_logger
from gateway.api.key_methods import api_key_methods
from gateway.api.keys import KeyBook
from gateway.api.method import Method
from gateway.api.override_methods import override_methods
from gateway.api.policy_methods import policy_methods
from gateway.api.role_methods import role_methods
from gateway.auth.policy import Policy
from gateway.auth.policy_document import BadPolicy, check, decode
from gateway.auth.policy_file import PolicyFile
from gateway.node import Node
from gateway.policy_minutes import PolicyMinutes
from gateway.rule_news import RuleNews
from gateway.rule_watch import RuleWatch

__all__ = ["RuleService", "RuleStore"]

_log = get_logger()


class RuleStore(Protocol):
    """The ports that rules are kept by."""

    @property
    def api_keys(self) -> ApiKeys: ...

    @property
    def roles(self) -> Roles: ...

    @property
    def policies(self) -> Policies: ...

    @property
    def overrides(self) -> Overrides: ...

    @property
    def rule_versions(self) -> RuleVersions: ...


class RuleService:
    """What a process with a node has of rules."""

    def __init__(
        self, node: Node, store: RuleStore, control: Control, clock: Clock, present: PresentOverrides | None = None
    ) -> None:
        self._node, self._store, self._clock = node, store, clock
        self._is_loaded = False
        self.keys = KeyBook(store.api_keys, clock)
        settings = node.settings.policy
        self._claims = settings.claims
        self._file = PolicyFile(settings.file, settings.claims) if settings.file else None
        self.overrides = present or PresentOverrides(store.overrides, clock)
        self.overrides.on_change(node.obey)
        # What an operator says at once is read first.
        readers = {
            Subject.OVERRIDES: self.overrides.load,
            Subject.API_KEYS: self.keys.load,
            Subject.ROLES: self._load_roles,
        }
        if self._file is None:
            readers[Subject.POLICY] = self._load_policies
        self.watch = RuleWatch(store.rule_versions, readers, clock, duties=self._do_duties)
        self._news = RuleNews(self.watch, control)
        node.rule_watch = self.watch
        self._minutes = PolicyMinutes(node.policies, node.wheel, node.tasks, clock, self._reconsider)

    def methods(self, names: Collection[str]) -> list[Method]:
        """Make the methods that change rules.

        Args:
            names: Those of all methods of the API; looked at only when a key, a role or a policy is made.
        """
        node, store, news = self._node, self._store, self._news
        return [
            *api_key_methods(store.api_keys, news, node.roles, node.rules, names, self._clock),
            *role_methods(store.roles, news, node.roles, node.rules, names),
            *policy_methods(store.policies, news, self._claims, names, is_file=self._file is not None),
            *override_methods(store.overrides, news, self._clock, longest_s=node.settings.overrides.longest),
        ]

    async def load(self) -> None:
        """Read everything; tried until the store answers.

        Raises:
            SettingsError: The policy cannot be used here, so that nobody can be served.
        """
        if self._file is not None:
            self._node.policies.enforce(await self._file.first())
        await self.watch.load()
        await self._reconsider()
        self._is_loaded = True

    async def run(self) -> None:
        """Keep up with changes, until cancelled."""
        await self.watch.run()

    async def _reconsider(self) -> None:
        """Judge everybody by what holds now; where that depends on the time, again as the next minute turns."""
        began = self._clock.now()
        try:
            await self._node.reconsider()
        finally:
            if self._node.settings.policy.recheck_time:
                self._minutes.mind(began)

    async def _load_roles(self) -> None:
        roles, assigned = await self._store.roles.all(), await self._store.roles.assignments()
        self._node.roles.replace(roles, assigned)
        await self._reconsider()

    async def _load_policies(self) -> None:
        desk = self._node.policies
        for mode, known, put in (
            (Mode.ENFORCED, desk.enforced, desk.enforce),
            (Mode.DRY_RUN, desk.trial, desk.try_out),
        ):
            newest = await self._store.policies.newest(mode)
            if newest is not None and (known is None or known.version != newest.version):
                policy = await self._read(newest)
                if policy is not None:
                    put(policy)
        await self._reconsider()

    async def _read(self, stored: PolicyVersion) -> Policy | None:
        """Make a policy of what is stored; None where this node cannot use it, so that the one in force stays."""
        try:
            read = await asyncio.to_thread(lambda: check(decode(stored.document), self._claims))
        except BadPolicy as exc:
            lines = [f"policy version {stored.version} of the store: {problem}" for problem in exc.problems]
            if not self._is_loaded and stored.mode is Mode.ENFORCED:
                raise SettingsError(lines) from None
            _log.error("policy.refused", version=stored.version, mode=stored.mode.value, problems=lines)
            return None
        return Policy(read, stored.version)

    async def _do_duties(self) -> None:
        await self.keys.note_uses()
        if self._file is not None and (policy := await self._file.newer()) is not None:
            self._node.policies.enforce(policy)
            await self._reconsider()
