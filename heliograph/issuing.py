"""Tokens of our own, as part of a gateway process: there if the settings say so."""

from collections.abc import Sequence

from prometheus_client import REGISTRY
from starlette.routing import Route

from gateway.api.method import Method
from gateway.auth.tokens import TokenVerifier
from gateway.issuing.methods import issuing_methods
from gateway.issuing.metrics import IssuingCollector
from gateway.issuing.routes import issuing_routes
from gateway.issuing.service import TokenService
from heliograph.ground import Ground

__all__ = ["Issuing"]


class Issuing:
    """What issues tokens, and the ways to it."""

    def __init__(self, ground: Ground, verifier: TokenVerifier) -> None:
        self._allowed_origins = ground.settings.client.allowed_origins
        self._service = self._make(ground, verifier) if ground.settings.client.token.issue.enabled else None

    @property
    def methods(self) -> Sequence[Method]:
        """Those of the API; they answer 108 where nothing is issued."""
        return issuing_methods(self._service)

    @property
    def routes(self) -> Sequence[Route]:
        """Those that clients call."""
        return [] if self._service is None else issuing_routes(self._service, self._allowed_origins)

    def _make(self, ground: Ground, verifier: TokenVerifier) -> TokenService:
        service = TokenService(
            ground.settings.client.token.issue,
            ground.store.token_families,
            verifier,
            ground.revocation,
            ground.engine.control,
            ground.clock,
            ground.store.audit,
        )
        collector = IssuingCollector(service)
        REGISTRY.register(collector)
        ground.resources.callback(REGISTRY.unregister, collector)
        return service
