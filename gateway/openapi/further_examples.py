"""What else a method is for: further examples beside that in `examples.py`, by what they show. Tests make these calls too."""

from collections.abc import Mapping
from typing import Final

from gateway.openapi.examples import EXAMPLES, Example

__all__ = ["FURTHER_EXAMPLES"]

_ACCEPTED: Final = EXAMPLES["notify"].result
_BOTH: Final = {"notifications": [{"user": user, "id": _ACCEPTED["notifications"][0]["id"]} for user in ("alice", "bob")]}

FURTHER_EXAMPLES: Final[Mapping[str, Mapping[str, Example]]] = {
    "notify": {
        "A digest: what is alike is collected, and told as one": Example(
            {
                "user": "alice",
                "title": "Bob likes your photo",
                "category": "social",
                "priority": "bulk",
                "digest": {"key": "likes", "window_s": 3600, "longest_s": 14400, "title": "{count} people like your photos"},
            },
            _ACCEPTED,
        ),
        "A daily digest: at times of day of the user": Example(
            {
                "user": "alice",
                "title": "Bob has commented",
                "category": "social",
                "digest": {"key": "comments", "at": ["08:00", "18:00"], "first_at_once": True},
            },
            _ACCEPTED,
        ),
        "An escalation to a pager: a webhook is called if nobody looks": Example(
            {
                "user": "alice",
                "title": "The database is down",
                "body": "No answer for a minute.",
                "category": "incidents",
                "priority": "critical",
                "escalate": {"after_s": 300, "to_url": "https://pager.example/hook"},
            },
            _ACCEPTED,
        ),
        "An escalation to a colleague": Example(
            {
                "user": "alice",
                "title": "The database is down",
                "priority": "critical",
                "escalate": {"after_s": 300, "to_user": "oncall", "routes": [["push", "sms"]]},
            },
            _ACCEPTED,
        ),
        "Two wordings and a control group, which is told nothing": Example(
            {
                "users": ["alice", "bob"],
                "category": "marketing",
                "priority": "bulk",
                "experiment": "spring-sale",
                "variants": [
                    {"name": "plain", "weight": 45, "title": "The spring sale has begun"},
                    {"name": "curious", "weight": 45, "title": "Guess what is half the price"},
                    {"name": "nobody", "weight": 10, "holdout": True},
                ],
            },
            _BOTH,
        ),
    },
}
