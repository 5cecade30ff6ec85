"""Port: policies in all their versions, of which the newest of each mode counts.

What is kept is the document as it was given; who reads it (the gateway) has checked it before, and checks it again.
"""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

__all__ = ["COMMENT_MAX", "DOCUMENT_MAX_BYTES", "Mode", "Policies", "PolicyVersion"]

DOCUMENT_MAX_BYTES: Final = 1024 * 1024
COMMENT_MAX: Final = 500


class Mode(StrEnum):
    """What a version is for: to decide, or only to be watched beside the one that decides."""

    ENFORCED = "enforced"
    DRY_RUN = "dry_run"


class PolicyVersion(msgspec.Struct, frozen=True):
    """One version. Numbers rise by one over both modes; an empty document ends a mode's policy."""

    version: int
    mode: Mode
    created_at: datetime
    comment: str
    document: bytes


class Policies(Protocol):
    """The versions. All methods raise `StoreUnavailable`."""

    async def put(self, document: bytes, mode: Mode, comment: str) -> int:
        """Keep a document as the next version, and tell that. Of older versions the newest hundred of a mode are kept."""

    async def newest(self, mode: Mode) -> PolicyVersion | None:
        """Read the version that counts; None where there never was one."""

    async def read(self, version: int) -> PolicyVersion:
        """Read a version.

        Raises:
            NotFound: There is none, or no more.
        """

    async def versions(self, *, limit: int) -> Sequence[PolicyVersion]:
        """List versions of both modes, the newest first, without their documents."""
