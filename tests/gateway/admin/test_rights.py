import ast
import re
from pathlib import Path

import pytest

import gateway
from gateway.admin.rights import OPERATES, READS, may_call

NEVER = (
    "user_erase",
    "token_issue",
    "api_key_create",
    "api_key_rotate",
    "policy_set",
    "role_set",
    "publish",
    "notify",
    "batch",
    "rpc",
)


def methods_of_the_product() -> set[str]:
    """Read every `Method("name", …)` of the gateway."""
    (root,) = gateway.__path__
    texts = [text for file in Path(root).rglob("*.py") if "Method(" in (text := file.read_text())]
    calls = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Method" and call.args]
    return {str(call.args[0].value) for call in made if isinstance(call.args[0], ast.Constant)}


def test_what_may_be_called_exists():
    assert methods_of_the_product() >= READS | OPERATES


def test_nothing_may_be_called_that_the_page_does_not_call():
    files = [file.read_text() for file in (Path(gateway.__path__[0]) / "admin" / "static").glob("*.js")]
    names = {name for text in files for name in re.findall(r'"([a-z]+(?:_[a-z]+)*)"', text)}
    names |= {f"campaign_{act}" for act in ("update", "pause", "resume", "cancel")}  # put together there
    assert names >= READS | OPERATES


def test_no_method_is_both():
    assert not READS & OPERATES


@pytest.mark.parametrize("method", sorted(READS))
def test_everybody_may_read(method):
    assert may_call("read", method) and may_call("operator", method)


@pytest.mark.parametrize("method", sorted(OPERATES))
def test_only_operators_act(method):
    assert may_call("operator", method) and not may_call("read", method) and not may_call("", method)


@pytest.mark.parametrize("method", NEVER)
def test_some_things_are_done_by_nobody_here(method):
    assert not may_call("operator", method) and not may_call("read", method)
