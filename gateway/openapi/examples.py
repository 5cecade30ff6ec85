"""One example per method, for people to copy. Tests make each of these calls; what differs from node to node (ids, moments,
epochs) is there only an example of its shape."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from gateway.openapi.rule_examples import RULE_EXAMPLES

__all__ = ["EXAMPLES", "Example"]

_NOTIFICATION: Final = "0191f3a8c1de7b05a4d2c9e86f13b720"
_DEVICE: Final = "0191f3a9307c7a1f9d65e2b80c4a71fe"
_CLIENT: Final = "2c4e8f0a-6b1d-4f39-9a57-d03e1b86c5f2"
_EPOCH: Final = "kQzR"
_HASH: Final = "3f79bb7b435b05321651daefd374cdc681dc06faa65e374e38337b88ca046dea"
_FCM_TOKEN: Final = "dGVzdC1mY20tdG9rZW4tZm9yLXRoZS1kb2NzOjEyMzQ1Njc4OTA"  # noqa: S105  # nobody's


class Example(msgspec.Struct, frozen=True):
    """What is sent and what is answered, as JSON values. `is_failure`: the answer is an error, because what the method needs
    is configured by the application alone."""

    request: Mapping[str, Any]
    result: Mapping[str, Any]
    is_failure: bool = False


_PRESENT: Final = {"user": "alice", "client": _CLIENT}
_MUTED: Final = {"category": "marketing", "route": "email", "enabled": False}
_NOT_ISSUED: Final = {"code": 108, "message": "not available: client.token.issue is off"}
_RULES: Final = {
    "quiet_hours": {
        "from": "22:00",
        "to": "07:00",
        "timezone": "Europe/Berlin",
        "days": ["mon", "tue", "wed", "thu", "sun"],
        "ignored_by": ["critical"],
    },
    "routing_by_category": {"orders": {"routes": [["live", "push"], "email"], "waits": {"push": 600.0}}},
    "locale": "de-AT",
}
_NODE: Final = {
    "uid": "b1946ac9-2492-4d23-bb4c-1a03e5b1e6f0",
    "name": "gateway-1",
    "version": "1.0.0",
    "num_clients": 1,
    "num_users": 1,
    "num_channels": 2,
    "num_subs": 2,
    "uptime": 3600,
    "process": {"pid": 4711},
}

_CAMPAIGN: Final = {
    "id": "0191f3a9-6b0e-7c52-8d1f-3e9b7a60c4d8",
    "state": "scheduled",
    "audience": {"all": True},
    "priority": "bulk",
    "rate_per_s": 500.0,
    "created_at": 1767225600.25,
    "starts_at": 1767225600.25,
    "expanded": 0,
    "skipped": 0,
    "notifications": {},
    "name": "Spring sale",
    "category": "marketing",
}

EXAMPLES: Final[Mapping[str, Example]] = {
    "publish": Example(
        {"channel": "chat:lobby", "data": {"text": "hello"}, "idempotency_key": "message-1"}, {"offset": 1, "epoch": _EPOCH}
    ),
    "broadcast": Example(
        {"channels": ["chat:lobby", "unknown:lobby"], "data": {"text": "hello, all"}},
        {
            "responses": [
                {"result": {"offset": 2, "epoch": _EPOCH}},
                {"error": {"code": 102, "message": "unknown channel"}},
            ]
        },
    ),
    "presence": Example({"channel": "chat:lobby"}, {"presence": {_CLIENT: _PRESENT}}),
    "presence_stats": Example({"channel": "chat:lobby"}, {"num_clients": 1, "num_users": 1}),
    "history": Example(
        {"channel": "chat:lobby", "limit": 10, "reverse": True},
        {"publications": [{"data": {"text": "hello"}, "offset": 1}], "offset": 1, "epoch": _EPOCH},
    ),
    "history_remove": Example({"channel": "chat:lobby"}, {}),
    "channels": Example({"pattern": "chat:*"}, {"channels": {"chat:lobby": {"num_clients": 1}}}),
    "subscribe": Example({"user": "alice", "channel": "chat:news", "data": {"title": "News"}}, {}),
    "unsubscribe": Example({"user": "alice", "channel": "chat:lobby"}, {}),
    "disconnect": Example({"user": "alice", "disconnect": {"code": 4501, "reason": "account closed"}}, {}),
    "refresh": Example({"user": "alice", "expire_at": 4102444800}, {}),
    "connections": Example(
        {"user": "alice"},
        {
            "connections": {
                _CLIENT: {
                    "user": "alice",
                    "app_name": "web",
                    "app_version": "2.1.0",
                    "transport": "websocket",
                    "protocol": "json",
                    "connected_at_ms": 1767225600000,
                    "ping_pong_latency_ms": -1,
                    "state": {
                        "channels": {"chat:lobby": {"source": 6}},
                        "connection_token": {"uid": "token-1", "issued_at": 1767225000},
                    },
                }
            }
        },
    ),
    "info": Example({}, {"nodes": [_NODE]}),
    "shed": Example(
        {"node": "gateway-1", "share": 0.1, "spread_s": 30},
        {"nodes": [{"uid": _NODE["uid"], "name": "gateway-1", "num_clients": 1}]},
    ),
    "rpc": Example(
        {"method": "orders.count", "params": {"state": "open"}}, {"code": 104, "message": "not found"}, is_failure=True
    ),
    "block_user": Example({"user": "mallory", "expire_at": 4102444800}, {}),
    "unblock_user": Example({"user": "mallory"}, {}),
    "revoke_token": Example({"uid": "token-1", "expire_at": 4102444800}, {}),
    "invalidate_user_tokens": Example({"user": "alice", "issued_before": 1767225600, "expire_at": 4102444800}, {}),
    "notify": Example(
        {
            "user": "alice",
            "title": "Your order is on its way",
            "body": "It arrives tomorrow.",
            "data": {"order": 4711},
            "category": "orders",
            "priority": "high",
            "ack_wait_s": 5,
            "link": "https://shop.example/orders/4711",
            "collapse_key": "order-4711",
            "supersede": True,
            "dedup_window_s": 3600,
            "idempotency_key": "order-4711-shipped",
        },
        {"notifications": [{"user": "alice", "id": _NOTIFICATION}]},
    ),
    "notification_ack": Example({"id": _NOTIFICATION, "user": "alice"}, {}),
    "notification_seen": Example({"id": _NOTIFICATION, "user": "alice"}, {}),
    "notification_read": Example({"id": _NOTIFICATION, "user": "alice"}, {}),
    "notification_dismissed": Example({"id": _NOTIFICATION, "user": "alice"}, {}),
    "notification_clicked": Example({"id": _NOTIFICATION, "user": "alice"}, {}),
    "inbox_list": Example(
        {"user": "alice", "limit": 20},
        {
            "items": [
                {
                    "id": _NOTIFICATION,
                    "priority": "high",
                    "created_at": 1767225600.25,
                    "seen": False,
                    "read": False,
                    "archived": False,
                    "title": "Your order is on its way",
                    "body": "It arrives tomorrow.",
                    "data": {"order": 4711},
                    "category": "orders",
                    "link": "https://shop.example/orders/4711",
                }
            ]
        },
    ),
    "inbox_counts": Example({"user": "alice"}, {"unseen": 1, "unread": 1}),
    "inbox_mark": Example({"user": "alice", "all": True, "as": "read"}, {"unseen": 0, "unread": 0}),
    "topic_create": Example({"topic": "news:sport"}, {}),
    "topic_subscribe": Example({"topic": "news:sport", "users": ["alice", "bob"]}, {}),
    "topic_unsubscribe": Example({"topic": "news:sport", "user": "bob"}, {}),
    "topic_list": Example(
        {"user": "alice"}, {"items": [{"topic": "news:sport", "created_at": 1767225600.25}], "next_cursor": ""}
    ),
    "topic_members": Example(
        {"topic": "news:sport", "limit": 100},
        {
            "items": [
                {"user": "alice", "subscribed_at": 1767225600.25},
                {"user": "bob", "subscribed_at": 1767225600.25},
            ],
            "next_cursor": "",
        },
    ),
    "topic_remove": Example({"topic": "news:sport"}, {}),
    "campaign_create": Example(
        {
            "name": "Spring sale",
            "audience": {"all": True},
            "rate_per_s": 500,
            "notification": {
                "title": "The spring sale has begun",
                "body": "Until Sunday.",
                "category": "marketing",
                "priority": "bulk",
                "send_by_habit": {},
                "send_at_local": "09:00",
            },
            "idempotency_key": "sale-2026-spring",
        },
        {"id": _CAMPAIGN["id"]},
    ),
    "campaign_status": Example({"id": _CAMPAIGN["id"]}, {"campaign": _CAMPAIGN}),
    "campaign_list": Example({"state": "scheduled"}, {"items": [_CAMPAIGN], "next_cursor": ""}),
    "campaign_update": Example({"id": _CAMPAIGN["id"], "rate_per_s": 50}, {"campaign": {**_CAMPAIGN, "rate_per_s": 50.0}}),
    "campaign_pause": Example({"id": _CAMPAIGN["id"]}, {"state": "paused"}),
    "campaign_resume": Example({"id": _CAMPAIGN["id"]}, {"state": "scheduled"}),
    "campaign_cancel": Example({"id": _CAMPAIGN["id"]}, {"state": "cancelled"}),
    "notification_cancel": Example({"id": _NOTIFICATION}, {"state": "cancelled"}),
    "notification_status": Example(
        {"id": _NOTIFICATION},
        {
            "notification": {
                "id": _NOTIFICATION,
                "user": "alice",
                "state": "pending",
                "priority": "high",
                "category": "orders",
                "created_at": 1767225600.25,
                "expires_at": 1767312000.25,
                "steps": [],
            }
        },
    ),
    "device_register": Example(
        {"user": "alice", "provider": "fcm", "token": _FCM_TOKEN, "locale": "de", "timezone": "Europe/Berlin"},
        {"id": _DEVICE},
    ),
    "device_list": Example(
        {"user": "alice"},
        {
            "items": [
                {
                    "id": _DEVICE,
                    "user": "alice",
                    "provider": "fcm",
                    "platform": "android",
                    "locale": "de",
                    "timezone": "Europe/Berlin",
                    "token": "dGVzdC…",
                    "registered_at": 1767225600.5,
                }
            ]
        },
    ),
    "device_remove": Example({"user": "alice", "id": _DEVICE}, {}),
    "preferences_set": Example({"user": "alice", "preferences": [_MUTED], **_RULES}, {"preferences": [_MUTED], **_RULES}),
    "preferences_get": Example({"user": "alice"}, {"preferences": [_MUTED], **_RULES}),
    "notification_statistics": Example(
        {"by": ["category"], "priority": "high"},
        {
            "from": 1767139200,
            "to": 1767229200,
            "groups": [
                {
                    "category": "orders",
                    "accepted": 1,
                    "sent": 1,
                    "delivered": 0,
                    "opened": 0,
                    "seen": 0,
                    "read": 0,
                    "dismissed": 0,
                    "clicked": 0,
                    "acknowledged": 0,
                    "failed": {"user": 0, "system": 0, "business": 0},
                    "outcomes": {},
                    "states": {"exhausted": 1},
                    "time_to_sent": {"count": 1, "p50_s": 1.951329, "p95_s": 1.951329, "p99_s": 1.951329},
                    "cost": 0.06,
                }
            ],
            "counted_at": 1767225600.25,
            "is_complete": True,
            "error": 0.025,
            "currency": "EUR",
        },
    ),
    "notification_clicks": Example({"id": _NOTIFICATION}, {"items": []}),
    "dead_letter_list": Example({"reason": "refused", "limit": 100}, {"items": [], "next_cursor": ""}),
    "dead_letter_replay": Example({"ids": ["4711"]}, {"items": [{"id": "4711", "result": "not_found"}]}),
    "deletion_guard_list": Example({}, {"items": []}),
    "deletion_guard_open": Example({"provider": "apns"}, {"num_guards": 0}),
    "removed_device_list": Example({"provider": "apns", "since": 1767225600}, {"items": [], "next_cursor": ""}),
    "device_restore": Example(
        {"user": "carol", "id": _DEVICE}, {"code": 104, "message": "removed device not found"}, is_failure=True
    ),
    "devices_restore": Example(
        {"provider": "apns", "since": 1767225600, "until": 1767229200},
        {"num_restored": 0, "num_passed_over": 0, "next_cursor": ""},
    ),
    "status_webhook_info": Example({}, {"enabled": False}),
    "status_webhook_enable": Example({}, {"was_disabled": False}),
    "suppression_add": Example({"provider": "email", "address": "carol@example.com", "reason": "complaint"}, {}),
    "suppression_list": Example({"provider": "email"}, {"items": [], "next_cursor": ""}),
    "suppression_remove": Example(
        {"provider": "email", "address": "carol@example.com"}, {"code": 104, "message": "address not found"}, is_failure=True
    ),
    "feedback": Example({"provider": "email", "events": [{"type": "bounce", "address": "carol@example.com"}]}, {}),
    "token_issue": Example({"user": "alice", "claims": {"info": {"name": "Alice"}}, "ttl_s": 60}, _NOT_ISSUED, is_failure=True),
    "token_family_list": Example({"user": "alice"}, _NOT_ISSUED, is_failure=True),
    "token_family_revoke": Example({"user": "alice"}, _NOT_ISSUED, is_failure=True),
    "audit_search": Example(
        {"action": "template.*", "decision": "changed", "from": 1767225600},
        {
            "items": [
                {
                    "sequence": 1,
                    "time": 1767225600.25,
                    "action": "template.put",
                    "decision": "changed",
                    "actor": "api_key:key-o…",
                    "hash": _HASH,
                    "resource": "template:order.shipped",
                    "address": "127.0.0.1",
                    "address_digest": _HASH,
                    "transport": "api",
                    "correlation_id": "8c1f4b7a2e905d36",
                    "details": {"locale": "en", "route": "", "version": 1},
                }
            ],
            "next_cursor": "",
        },
    ),
    "audit_verify": Example(
        {},
        {
            "whole": True,
            "head": f"1:{_HASH}",
            "first": 1,
            "records": 1,
            "unsigned": 1,
            "pending": 0,
            "problems": [],
        },
    ),
    "user_erase": Example({"user": "carol"}, {"removed": {}}),
    "template_put": Example(
        {
            "name": "order.shipped",
            "locale": "en",
            "title": "Order {{ order }} is on its way",
            "body": "Dear {{ name }}, it arrives tomorrow.",
            "link": "https://shop.example/orders/{{ order }}",
        },
        {"version": 1, "variables": ["name", "order"], "findings": []},
    ),
    "template_get": Example(
        {"name": "order.shipped", "locale": "en"},
        {
            "name": "order.shipped",
            "locale": "en",
            "route": "",
            "version": 1,
            "created_at": 1767225600.25,
            "title": "Order {{ order }} is on its way",
            "body": "Dear {{ name }}, it arrives tomorrow.",
            "link": "https://shop.example/orders/{{ order }}",
            "variables": ["name", "order"],
            "versions": [{"version": 1, "created_at": 1767225600.25}],
        },
    ),
    "template_list": Example(
        {"name": "order.shipped"},
        {
            "items": [
                {"name": "order.shipped", "locale": "en", "route": "", "version": 1, "created_at": 1767225600.25},
            ]
        },
    ),
    "template_remove": Example({"name": "order.shipped", "locale": "en"}, {"version": 2}),
    "template_rollback": Example({"name": "order.shipped", "locale": "en", "version": 1}, {"version": 2}),
    "template_preview": Example(
        {"title": "Hello {{ name }}", "body": "{{ count }} new", "route": "email", "variables": {"name": "Ann", "count": 2}},
        {
            "locale": "",
            "version": 0,
            "title": "Hello Ann",
            "subtitle": "",
            "body": "2 new",
            "html": "",
            "link": "",
            "image": "",
            "providers": [{"provider": "email", "title": "Hello Ann", "body": "2 new", "size_bytes": 2698}],
        },
    ),
    "template_lint": Example(
        {"title": "Hello {{ nmae }}", "html": "<p><b>Hello</p>", "variables": ["name"]},
        {
            "findings": [
                {
                    "severity": "error",
                    "field": "title",
                    "line": 1,
                    "rule": "names the variable 'nmae', which is not declared",
                },
                {"severity": "error", "field": "html", "line": 1, "rule": "<b> is never closed"},
                {"severity": "warning", "field": "variables", "line": 0, "rule": "declares 'name', which no field uses"},
            ],
            "variables": ["nmae"],
        },
    ),
    "experiment_pick": Example({"experiment": "subject-line", "after": 1000, "confidence": 0.95}, {"picked": ""}),
    "experiment_results": Example({"key": "subject-line"}, {"code": 104, "message": "experiment not found"}, is_failure=True),
    "role_unassign": Example({"user": "alice", "role": "editor"}, {"code": 104, "message": "role not found"}, is_failure=True),
    **{name: Example(request, result) for name, (request, result) in RULE_EXAMPLES.items()},
    "batch": Example(
        {"commands": [{"publish": {"channel": "chat:lobby", "data": 1}}, {"presence_stats": {"channel": "unknown:lobby"}}]},
        {
            "replies": [
                {"publish": {"offset": 3, "epoch": _EPOCH}},
                {"error": {"code": 102, "message": "unknown channel"}},
            ]
        },
    ),
}
