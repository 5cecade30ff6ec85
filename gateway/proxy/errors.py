"""How asking the backend fails.

broker.errors.Unavailable
└── BackendFailed      no answer that means anything: error 100, temporary; a prolongation where a refresh was asked for
    ├── BadAnswer      an answer, but not of use
    └── NotAsked       it failed too often just now
ClientError            the backend's own error, or one that its HTTP status stands for
DisconnectClient       the same for disconnects
"""

from broker.errors import Unavailable

__all__ = ["BackendFailed", "BadAnswer", "NotAsked"]


class BackendFailed(Unavailable):
    """The backend did not answer, not in time, not with success, or not in the form agreed."""


class BadAnswer(BackendFailed):
    """The backend answered with success, but a payload in it cannot be used (base64 that is none)."""


class NotAsked(BackendFailed):
    """The backend was left alone, because it failed too often just now."""
