"""What a digest tells, for one reader: members whose texts a template makes are told in the reader's words, too."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import msgspec

from broker.notification import Collected, Content
from broker.rendering.errors import Unrenderable

__all__ = ["GIVEN", "Item", "headlines", "items_of", "with_items"]

# What the template of a digest gets beside its own variables.
GIVEN: Final = ("items", "count")
# So many headlines make the body of a digest without a template.
_TOLD: Final = 5

Item = dict[str, Any]


async def items_of(collected: Collected, render: Callable[[Content], Awaitable[Content]]) -> Sequence[Item]:
    """Make the items in a reader's words; what cannot be told to them is left out, and still counted.

    Each has `id`, `at` (Unix seconds), `title`, `body`, `link` and `data`.

    Raises:
        StoreUnavailable: Nothing is known; try again.
    """
    items = []
    for item in collected.items:
        try:
            told = await render(Content(item.title, item.body, link=item.link, template=item.template))
        except Unrenderable:
            continue
        data = msgspec.json.decode(item.data) if bytes(item.data) else {}
        texts = {"title": told.title, "body": told.body, "link": told.link}
        items.append({"id": item.id, "at": item.at, **texts, "data": data})
    return items


def headlines(items: Sequence[Item]) -> str:
    """Write the newest headlines, one a line."""
    titles = [item["title"] or item["body"][:80] for item in items[:_TOLD]]
    return "\n".join(title for title in titles if title)


def with_items(variables: bytes, count: int, items: Sequence[Item]) -> bytes:
    """Put what a template is given beside its own variables, both as JSON."""
    own = msgspec.json.decode(variables) if variables else {}
    return msgspec.json.encode({**own, "items": items, "count": count})
