"""Examples of the methods about who may do what, and what holds for a while: keys, roles, policies, overrides."""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["RULE_EXAMPLES"]

# A request and the result that it gets.
_Pair = tuple[Mapping[str, Any], Mapping[str, Any]]

_KEY_ID: Final = "5f3a9c0d71e2b648"
_POLICY: Final[Mapping[str, Any]] = {
    "timezone": "Europe/Berlin",
    "networks": {"office": ["198.51.100.0/24"]},
    "rules": [
        {
            "name": "no-writing-at-night",
            "effect": "deny",
            "actions": ["publish"],
            "channels": ["chat:*"],
            "condition": 'time.clock < "06:00" && !("admin" in roles)',
        }
    ],
}

_OVERRIDE: Final = {
    "kind": "pause_carrier",
    "target": "apns",
    "reason": "certificate is being changed",
    "set_at": 1767225600.25,
    "expires_at": 1767229200.25,
    "set_by": "api_key:key-o…",
}

RULE_EXAMPLES: Final[Mapping[str, _Pair]] = {
    "api_key_create": (
        {
            "name": "billing",
            "methods": ["publish", "broadcast"],
            "channels": ["chat:*"],
            "expire_at": 1893456000,
            "rate_per_s": 50,
            "burst": 100,
        },
        {"id": _KEY_ID, "name": "billing", "key": f"hgk_{_KEY_ID}_…"},
    ),
    "api_key_rotate": ({"id": _KEY_ID, "grace_s": 3600}, {"id": _KEY_ID, "name": "billing", "key": f"hgk_{_KEY_ID}_…"}),
    "api_key_revoke": ({"id": _KEY_ID}, {}),
    "api_key_list": (
        {},
        {
            "items": [
                {
                    "id": _KEY_ID,
                    "name": "billing",
                    "created_at": 1767225600,
                    "methods": ["publish", "broadcast"],
                    "channels": ["chat:*"],
                    "expire_at": 1893456000,
                    "rate_per_s": 50.0,
                    "burst": 100,
                }
            ]
        },
    ),
    "role_set": ({"name": "editor", "permissions": ["subscribe,publish chat:*", "history chat:{user}/*"]}, {}),
    "role_remove": ({"name": "editor"}, {}),
    "role_list": (
        {},
        {
            "items": [
                {"name": "editor", "permissions": ["subscribe,publish chat:*", "history chat:{user}/*"], "in_settings": False}
            ],
            "assignments": [],
        },
    ),
    "role_assign": ({"user": "alice", "role": "editor"}, {}),
    "policy_set": ({"policy": _POLICY, "comment": "quiet nights"}, {"version": 1}),
    "policy_dry_run": ({"policy": _POLICY, "comment": "would it hurt?"}, {"version": 2}),
    "policy_get": (
        {"version": 1},
        {"version": 1, "mode": "enforced", "created_at": 1767225600, "comment": "quiet nights", "policy": _POLICY},
    ),
    "policy_list": (
        {"limit": 10},
        {"items": [{"version": 1, "mode": "enforced", "created_at": 1767225600, "comment": "quiet nights"}]},
    ),
    "policy_rollback": ({"version": 1}, {"version": 3}),
    "override_set": (
        {"kind": "pause_carrier", "target": "apns", "expires_in_s": 3600, "reason": "certificate is being changed"},
        _OVERRIDE,
    ),
    "override_list": ({}, {"items": [_OVERRIDE]}),
    "override_remove": ({"kind": "pause_carrier", "target": "apns"}, {}),
}
