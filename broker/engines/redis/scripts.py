"""The Lua scripts, read once from the files beside this module and called by the digest of their text."""

from functools import cache
from hashlib import sha1
from pathlib import Path
from typing import Final

import msgspec

from broker.engines.redis.packing import pack

__all__ = ["Script", "load_script"]

_FOLDER: Final = Path(__file__).parent / "lua"


class Script(msgspec.Struct, frozen=True):
    """One script: its name for messages, its text, and its SHA1 in hexadecimal, by which the server knows it."""

    name: str
    text: str
    sha: str

    @property
    def load_command(self) -> bytes:
        """The packed command that makes a server know it."""
        return pack("SCRIPT", "LOAD", self.text)


@cache
def load_script(*names: str) -> Script:
    """Read a script; of several names, the former ones are files of functions that the last one uses."""
    text = "\n".join((_FOLDER / f"{name}.lua").read_text("utf-8") for name in names)
    return Script(names[-1], text, sha1(text.encode()).hexdigest())  # noqa: S324 (the digest that EVALSHA asks for)
