"""Revoked tokens of a single process; a new process has forgotten them."""

from broker.engines.memory.deadlines import SWEEP, Deadlines
from broker.errors import BadInput
from config.clock import Clock

__all__ = ["MemoryRevocation"]


class MemoryRevocation:
    """The port Revocation. Times are Unix seconds, as in the tokens themselves."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_by_token: dict[str, float] = {}
        # Per user: tokens issued before the first moment are refused until the second one.
        self._bounds_by_user: dict[str, tuple[float, float]] = {}
        self._token_ends: Deadlines[str] = Deadlines()
        self._user_ends: Deadlines[str] = Deadlines()

    def is_revoked(self, *, user: str, token_id: str, issued_at: float) -> bool:
        until = self._until_by_token.get(token_id)
        bounds = self._bounds_by_user.get(user)
        if until is None and bounds is None:
            return False
        now = self._now()
        if until is not None and now < until:
            return True
        return bounds is not None and issued_at < bounds[0] and now < bounds[1]

    async def revoke_token(self, token_id: str, *, until: float) -> None:
        if not token_id:
            raise BadInput("token_id", "must not be empty")
        self._sweep()
        self._until_by_token[token_id] = max(until, self._until_by_token.get(token_id, until))
        self._token_ends.note(until, token_id)

    async def revoke_user_tokens(self, user: str, *, issued_before: float, until: float) -> None:
        self._sweep()
        known = self._bounds_by_user.get(user, (issued_before, until))
        self._bounds_by_user[user] = (max(issued_before, known[0]), max(until, known[1]))
        self._user_ends.note(until, user)

    def clear(self) -> None:
        """Trust everybody again."""
        self._until_by_token.clear()
        self._bounds_by_user.clear()
        self._token_ends = Deadlines()
        self._user_ends = Deadlines()

    def __len__(self) -> int:
        """Count the tokens and users that are held."""
        return len(self._until_by_token) + len(self._bounds_by_user)

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _sweep(self) -> None:
        now = self._now()
        for _ in range(SWEEP):
            if (due := self._token_ends.pop_due(now)) is None:
                break
            if (until := self._until_by_token.get(due[1])) is not None and until <= now:
                del self._until_by_token[due[1]]
        for _ in range(SWEEP):
            if (due := self._user_ends.pop_due(now)) is None:
                break
            if (bounds := self._bounds_by_user.get(due[1])) is not None and bounds[1] <= now:
                del self._bounds_by_user[due[1]]
