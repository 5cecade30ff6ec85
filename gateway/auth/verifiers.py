"""A node's judges of tokens, put together from the settings, with the duty of keeping issuers' published keys fresh."""

import asyncio
from collections.abc import Sequence

from broker.cache import SharedCache
from broker.published_keys import PublishedKeys
from broker.revocation import Revocation
from config.clock import Clock
from config.settings import ClientSettings
from config.token_settings import TokenSettings
from gateway.auth.key_changes import KeyChanges
from gateway.auth.key_metrics import key_concerns
from gateway.auth.key_source import KeySourceState
from gateway.auth.shared_keys import shared_documents
from gateway.auth.tokens import TokenVerifier

__all__ = ["Verifiers"]


class Verifiers:
    """Who judges connection tokens, and who judges subscription tokens: the same where these have no keys of their own.

    Args:
        fleet: Where nodes share the keys that issuers publish, if the settings want that.
    Raises:
        SettingsError: Certificates that are to be trusted cannot be read.
    """

    def __init__(
        self,
        settings: ClientSettings,
        revocation: Revocation,
        clock: Clock,
        *,
        kept_claims: Sequence[str] = (),
        fleet: SharedCache | None = None,
    ) -> None:
        shared = shared_documents(fleet, settings.shared_issuer_keys, clock)

        def make(tokens: TokenSettings, section: str) -> TokenVerifier:
            return TokenVerifier(
                tokens,
                revocation=revocation,
                clock=clock,
                skip_signature=settings.insecure_skip_token_signature_verify,
                section=section,
                kept_claims=kept_claims,
                shared=shared,
            )

        self.connections = self.subscriptions = make(settings.token, "client.token")
        self._clock = clock
        self._changes: KeyChanges | None = None
        self._all = [self.connections]
        if settings.subscription_token.enabled:
            self.subscriptions = make(settings.subscription_token, "client.subscription_token")
            self._all.append(self.subscriptions)

    def tell_changes(self, kept: PublishedKeys) -> None:
        """Have it told, while they are kept fresh, which keys are published; called before `run`."""
        sources = [source for verifier in self._all for source in verifier.issuers.sources]
        if sources:
            self._changes = changes = KeyChanges(kept, self._clock)
            for source in sources:
                source.on_change = changes.saw

    async def run(self) -> None:
        """Keep published keys fresh, until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._changes is not None:
                group.create_task(self._changes.run(), name="keys:changes")
            for verifier in self._all:
                group.create_task(verifier.issuers.run(), name="keys")

    async def close(self) -> None:
        """End fetches that are under way, where `run` does not; may come twice."""
        for verifier in self._all:
            await verifier.issuers.close()

    def key_states(self) -> Sequence[KeySourceState]:
        """Tell how it stands with the keys that issuers publish."""
        return [source.state() for verifier in self._all for source in verifier.issuers.sources]

    def concerns(self) -> list[str]:
        """Tell what an operator should know of though clients are welcome."""
        return key_concerns(self.key_states())
