"""Which methods of the API the page may call, by role: what is not named here is not reached from the page by anybody.

Left out on purpose: whatever publishes or notifies in an application's name, erases users, issues tokens, or makes keys, roles
and policies. A page in a browser is the wrong place for those; an API key that may do so is a decision of its own.
"""

from typing import Final

__all__ = ["OPERATES", "READS", "may_call"]

READS: Final = frozenset(
    {
        "api_key_list",
        "audit_search",
        "audit_verify",
        "campaign_list",
        "channels",
        "connections",
        "dead_letter_list",
        "deletion_guard_list",
        "device_list",
        "history",
        "inbox_list",
        "notification_status",
        "override_list",
        "policy_get",
        "policy_list",
        "presence",
        "presence_stats",
        "removed_device_list",
        "role_list",
        "status_webhook_info",
    }
)
OPERATES: Final = frozenset(
    {
        "api_key_revoke",
        "block_user",
        "campaign_cancel",
        "campaign_pause",
        "campaign_resume",
        "campaign_update",
        "dead_letter_replay",
        "deletion_guard_open",
        "device_restore",
        "disconnect",
        "notification_cancel",
        "override_remove",
        "override_set",
        "status_webhook_enable",
        "unblock_user",
    }
)


def may_call(role: str, method: str) -> bool:
    """Decide about a method; `role` is "read" or "operator"."""
    return method in READS or (role == "operator" and method in OPERATES)
