"""API methods that ask the audit: `audit_search`, `audit_verify`."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from broker.audit import Anchor, Audit, AuditFilter, SealedRecord
from broker.errors import BadInput, StoreUnavailable
from config.logs import get_logger
from gateway.api.method import Method

__all__ = ["AuditItem", "AuditSearchRequest", "AuditVerifyRequest", "audit_item", "audit_methods"]

_log = get_logger()

_PAGE: Final = 100
_MAX_PAGE: Final = 1000
_LAST_MOMENT: Final = datetime(9000, 1, 1, tzinfo=UTC).timestamp()


class AuditSearchRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"since": "from", "until": "to"}):
    """Asks for records, the newest first, page by page: those that meet everything that is given."""

    since: Annotated[float, Meta(description="From this moment on, in Unix seconds.")] = 0.0
    until: Annotated[float, Meta(description="Before this moment, in Unix seconds.")] = 0.0
    actor: Annotated[str, Meta(description="A kind such as `api_key`, or with a name: `user:alice`.")] = ""
    action: Annotated[str, Meta(description="Such as `device.registered`, or the beginning: `device.*`.")] = ""
    resource: Annotated[str, Meta(description="Such as `channel:news`, or the beginning: `channel:*`.")] = ""
    decision: Annotated[str, Meta(description="`granted`, `denied`, `changed`, `failed` or `noted`.")] = ""
    rule: Annotated[str, Meta(description="What decided: such as `policy:night`, or the beginning: `policy:*`.")] = ""
    user: Annotated[str, Meta(description="Whom it concerns.")] = ""
    correlation_id: Annotated[str, Meta(description="Of the request or the connection.")] = ""
    limit: Annotated[int, Meta(description="Most records on a page, up to 1000; 0 means 100.")] = 0
    cursor: Annotated[str, Meta(description="Where to go on: `next_cursor` of the page before.")] = ""


class AuditItem(msgspec.Struct, omit_defaults=True):
    """A record: who (`actor`) did what, to what, for whom, from where, decided by which rule; `time` in Unix seconds.

    `subject` stands for the user in the chain, and remains when the user was erased.
    """

    sequence: int
    time: float
    action: str
    decision: str
    actor: str
    hash: str
    resource: str = ""
    user: str = ""
    subject: str = ""
    rule: str = ""
    address: str = ""
    address_digest: str = ""
    transport: str = ""
    node: str = ""
    correlation_id: str = ""
    details: dict[str, Any] = {}
    key_id: str = ""


class AuditSearchResult(msgspec.Struct):
    """A page of records; `next_cursor` is empty on the last one."""

    items: list[AuditItem]
    next_cursor: str


class AuditVerifyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Asks for the chain to be looked over."""

    anchor: Annotated[str, Meta(description="What `heliograph audit head` printed once; the chain must still lead there.")] = ""


class AuditVerifyResult(msgspec.Struct):
    """Whether the chain is whole; `head` is the anchor of its newest record, `unsigned` how many records no key signed."""

    whole: bool
    head: str
    first: int
    records: int
    unsigned: int
    pending: int
    problems: list[str]


def audit_methods(audit: Audit) -> list[Method]:
    """Make the methods of this group."""
    desk = _Desk(audit)
    return [
        Method("audit_search", AuditSearchRequest, desk.search, is_strict=True, group="Audit"),
        Method("audit_verify", AuditVerifyRequest, desk.verify, is_strict=True, group="Audit"),
    ]


def audit_item(sealed: SealedRecord) -> AuditItem:
    """Put a record into the form in which it is told and exported."""
    record = sealed.record
    act, who = record.act, record.caller
    name = who.actor.name or (sealed.subject if who.actor.kind == "user" else "")
    return AuditItem(
        sequence=sealed.sequence,
        time=record.at.timestamp(),
        action=act.action,
        decision=act.decision.value,
        actor=f"{who.actor.kind}:{name}" if name else who.actor.kind.value,
        hash=sealed.hash,
        resource=act.resource,
        user=act.user,
        subject=sealed.subject,
        rule=act.rule,
        address=who.address,
        address_digest=sealed.address_digest,
        transport=who.transport,
        node=record.node,
        correlation_id=who.correlation_id,
        details=dict(act.details),
        key_id=sealed.key_id,
    )


class _Desk:
    def __init__(self, audit: Audit) -> None:
        self._audit = audit
        self._is_verifying = False

    async def search(self, request: AuditSearchRequest) -> AuditSearchResult:
        """List records of the audit; what this node was told before the call is among them."""
        if not 0 <= request.limit <= _MAX_PAGE:
            raise BadInput("limit", f"must be from 0 to {_MAX_PAGE}")
        wanted = AuditFilter(
            since=_moment(request.since, "from"),
            until=_moment(request.until, "to"),
            actor=request.actor,
            action=request.action,
            resource=request.resource,
            decision=request.decision,
            rule=request.rule,
            user=request.user,
            correlation_id=request.correlation_id,
        )
        await self._audit.settle()
        found, cursor = await self._audit.search(wanted, before=request.cursor, limit=request.limit or _PAGE)
        return AuditSearchResult([audit_item(sealed) for sealed in found], cursor)

    async def verify(self, request: AuditVerifyRequest) -> AuditVerifyResult:
        """Look the whole chain over; takes about a second for 30,000 records, one call at a time."""
        if self._is_verifying:
            raise StoreUnavailable("the audit is being looked over already", retry_after_s=10.0)
        self._is_verifying = True
        try:
            await self._audit.settle()
            found = await self._audit.verify(Anchor.parse(request.anchor) if request.anchor else None)
        finally:
            self._is_verifying = False
        if not found.is_whole:
            _log.error("audit.broken", problems=list(found.problems))
        return AuditVerifyResult(
            found.is_whole, str(found.head), found.first, found.records, found.unsigned, found.pending, list(found.problems)
        )


def _moment(seconds: float, field: str) -> datetime | None:
    if not 0 <= seconds <= _LAST_MOMENT:
        raise BadInput(field, "must be a moment in Unix seconds")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
