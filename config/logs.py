"""Logging: one chain of processors, built here; and how secrets and addresses are shortened before they are shown.

An event is a constant `thing.happened`, everything else is keys: `log.warning("delivery.failed", route="apns", attempt=3)`.
"""

import logging
import sys
from typing import Any, Literal

import structlog

from config.correlation import CORRELATION_ID
from config.tracing import current

__all__ = ["configure_logging", "get_logger", "mask_address", "mask_token"]

_SECRET_KEYS = frozenset({"token", "key", "api_key", "secret", "password", "authorization", "private_key", "body", "data"})


class _StandardError:
    """Whatever standard error is when a line is written: loggers live longer than a redirection of it."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def configure_logging(level: str = "info", style: Literal["auto", "console", "json"] = "auto") -> None:
    """Build the chain: request and span, level, time, mask, render to standard error. Called once, by the composition root."""
    threshold = getattr(logging, level.upper())
    is_console = style == "console" or (style == "auto" and sys.stderr.isatty())
    error: Any = _StandardError()
    render: Any = structlog.dev.ConsoleRenderer() if is_console else structlog.processors.JSONRenderer(sort_keys=False)
    structlog.configure(
        processors=[
            _name_request,
            _name_span,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _mask_secrets,
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.PrintLoggerFactory(error),
        # A logger that was cached would keep the first configuration for ever.
        cache_logger_on_first_use=False,
    )
    # Libraries speak through the standard module; only their warnings matter to an operator.
    logging.basicConfig(level=logging.WARNING, stream=error, format="%(levelname)s %(name)s: %(message)s")


def get_logger() -> Any:
    """Give a logger; keys are bound by the caller where an event happens."""
    return structlog.get_logger()


def mask_token(token: str) -> str:
    """Show enough of a token or key to recognise it: its first six characters, fewer of a short one."""
    return f"{token[: min(6, len(token) // 3)]}…"


def mask_address(address: str) -> str:
    """Show enough of an address to recognise it: a mailbox keeps its first letter and its domain, others six characters."""
    mailbox, at, domain = address.rpartition("@")
    if at:
        return f"{mailbox[:1]}…@{domain}"
    return mask_token(address)


def _name_request(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say for which request a line was written, unless the line says it itself."""
    if correlation_id := CORRELATION_ID.get():
        event.setdefault("correlation_id", correlation_id)
    return event


def _name_span(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Say in which trace a line was written, where there is one that is kept."""
    span = current()
    if span is not None and span.is_sampled:
        event["trace_id"], event["span_id"] = span.ids
    return event


def _mask_secrets(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The net under the rule that secrets never enter a call."""
    for name in _SECRET_KEYS & event.keys():
        event[name] = "…"
    return event
