"""Words about who is not let in, as a process holds them in memory: the table behind every engine's port Revocation."""

from collections.abc import Iterator

from broker.engines.memory.deadlines import SWEEP, Deadlines
from broker.errors import BadInput
from config.clock import Clock

__all__ = ["Words"]


class Words:
    """Revoked tokens, bounds on the age of users' tokens, blocked users. Times are Unix seconds, or infinity."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until_by_token: dict[str, float] = {}
        # Per user and channel ("" for all): tokens issued before the first moment are refused until the second one.
        self._bounds: dict[tuple[str, str], tuple[float, float]] = {}
        self._until_by_blocked_user: dict[str, float] = {}
        self._token_ends: Deadlines[str] = Deadlines()
        self._bound_ends: Deadlines[tuple[str, str]] = Deadlines()
        self._block_ends: Deadlines[str] = Deadlines()

    def is_revoked(self, *, user: str, token_id: str, issued_at: float, channel: str = "") -> bool:
        """Tell whether a token must be refused; see the port."""
        until = self._until_by_token.get(token_id)
        if until is not None and self._now() < until:
            return True
        return self._is_too_old(user, "", issued_at) or (channel != "" and self._is_too_old(user, channel, issued_at))

    def is_blocked(self, user: str) -> bool:
        """Tell whether a user may not connect."""
        until = self._until_by_blocked_user.get(user)
        return until is not None and self._now() < until

    def refuse_token(self, token_id: str, *, until: float) -> None:
        """Refuse one token; never shortens an earlier word.

        Raises:
            BadInput: `token_id` is empty.
        """
        if not token_id:
            raise BadInput("token_id", "must not be empty")
        self._sweep()
        self._until_by_token[token_id] = max(until, self._until_by_token.get(token_id, until))
        self._token_ends.note(until, token_id)

    def refuse_older(self, user: str, channel: str, *, issued_before: float, until: float) -> None:
        """Refuse a user's older tokens, all of them or (with `channel`) those for one channel; never weakens a word."""
        self._sweep()
        key = user, channel
        known = self._bounds.get(key, (issued_before, until))
        self._bounds[key] = (max(issued_before, known[0]), max(until, known[1]))
        self._bound_ends.note(until, key)

    def block(self, user: str, *, until: float) -> None:
        """Keep a user out; the latest word counts.

        Raises:
            BadInput: `user` is empty.
        """
        if not user:
            raise BadInput("user", "must not be empty")
        self._sweep()
        self._until_by_blocked_user[user] = until
        self._block_ends.note(until, user)

    def unblock(self, user: str) -> None:
        """Let a user in again; one who was not blocked is no error."""
        self._until_by_blocked_user.pop(user, None)

    def clear(self) -> None:
        """Trust everybody again."""
        self._until_by_token.clear()
        self._bounds.clear()
        self._until_by_blocked_user.clear()
        self._token_ends = Deadlines()
        self._bound_ends = Deadlines()
        self._block_ends = Deadlines()

    def tokens(self) -> Iterator[tuple[str, float]]:
        """Go through the revoked tokens that still count: id, until."""
        now = self._now()
        return ((token_id, until) for token_id, until in self._until_by_token.items() if now < until)

    def bounds(self) -> Iterator[tuple[str, str, float, float]]:
        """Go through the bounds that still count: user, channel, issued before, until."""
        now = self._now()
        return ((*key, bound[0], bound[1]) for key, bound in self._bounds.items() if now < bound[1])

    def blocks(self) -> Iterator[tuple[str, float]]:
        """Go through the users who are blocked: user, until."""
        now = self._now()
        return ((user, until) for user, until in self._until_by_blocked_user.items() if now < until)

    def __len__(self) -> int:
        """Count the tokens and users that are held."""
        return len(self._until_by_token) + len(self._bounds) + len(self._until_by_blocked_user)

    def _is_too_old(self, user: str, channel: str, issued_at: float) -> bool:
        bounds = self._bounds.get((user, channel))
        return bounds is not None and issued_at < bounds[0] and self._now() < bounds[1]

    def _now(self) -> float:
        return self._clock.now().timestamp()

    def _sweep(self) -> None:
        """Forget a few words whose time is over; one that was prolonged has a later note."""
        now = self._now()
        for _ in range(SWEEP):
            if (due := self._token_ends.pop_due(now)) is None:
                break
            if self._until_by_token.get(due[1], now + 1) <= now:
                del self._until_by_token[due[1]]
        for _ in range(SWEEP):
            if (bound := self._bound_ends.pop_due(now)) is None:
                break
            if bound[1] in self._bounds and self._bounds[bound[1]][1] <= now:
                del self._bounds[bound[1]]
        for _ in range(SWEEP):
            if (due := self._block_ends.pop_due(now)) is None:
                break
            if self._until_by_blocked_user.get(due[1], now + 1) <= now:
                del self._until_by_blocked_user[due[1]]
