"""A policy that lies in a file: looked at now and then, read when it has changed, and left alone while it cannot be used."""

import asyncio
from collections.abc import Collection
from pathlib import Path

from broker.policies import DOCUMENT_MAX_BYTES
from config.errors import SettingsError
from config.logs import get_logger
from gateway.auth.policy import Policy
from gateway.auth.policy_document import BadPolicy, check, decode

__all__ = ["PolicyFile", "problems_of_policy_file", "read_policy_file"]

_log = get_logger()

_Mark = tuple[int, int, int]


def read_policy_file(path: Path, claims: Collection[str]) -> Policy:
    """Read a policy, in JSON where the name ends so, else in TOML. Blocks.

    Raises:
        BadPolicy: It cannot be read, or breaks rules.
    """
    try:
        if path.stat().st_size > DOCUMENT_MAX_BYTES:
            raise BadPolicy([f"policy: must be at most {DOCUMENT_MAX_BYTES} bytes"])
        text = path.read_bytes()
    except OSError as exc:
        raise BadPolicy([f"policy: cannot be read: {exc.strerror}"]) from None
    return Policy(check(decode(text, is_toml=path.suffix != ".json"), claims), 0)


def problems_of_policy_file(name: str, claims: Collection[str]) -> list[str]:
    """Write a line for each reason for which a start would refuse a file of the settings; none where it would not. Blocks."""
    path = Path(name)
    try:
        read_policy_file(path, claims)
    except BadPolicy as exc:
        return _lines(path, exc)
    return []


def _lines(path: Path, refused: BadPolicy) -> list[str]:
    return [f"policy.file: {path}: {problem}" for problem in refused.problems]


class PolicyFile:
    """One file, by its name in the settings."""

    def __init__(self, name: str, claims: Collection[str]) -> None:
        self._path, self._claims = Path(name), claims
        self._mark: _Mark | None = None

    async def first(self) -> Policy:
        """Read it at the start.

        Raises:
            SettingsError: It cannot be used; one line per reason.
        """
        self._mark = await asyncio.to_thread(self._look)
        try:
            return await asyncio.to_thread(read_policy_file, self._path, self._claims)
        except BadPolicy as exc:
            raise SettingsError(_lines(self._path, exc)) from None

    async def newer(self) -> Policy | None:
        """Read it again if it has changed; None where it has not, or cannot be used: what is in force then stays."""
        mark = await asyncio.to_thread(self._look)
        if mark == self._mark:
            return None
        self._mark = mark
        try:
            policy = await asyncio.to_thread(read_policy_file, self._path, self._claims)
        except BadPolicy as exc:
            _log.error("policy.refused", file=str(self._path), problems=list(exc.problems))
            return None
        _log.info("policy.read", file=str(self._path), rules=len(policy))
        return policy

    def _look(self) -> _Mark | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino
