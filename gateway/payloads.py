"""What a publication may consist of in a channel (`publication_data_format`); the same rule for clients and for the API."""

from typing import Final

import msgspec

from config.settings import ChannelOptions
from gateway.protocol.json_codec import is_json

__all__ = ["is_nested_too_deep", "payload_fault"]

# How much deeper in its own stack a later reader may stand, and below how many brackets nobody can be in need.
_HEADROOM: Final = 100
_SHALLOW: Final = 256
_decoder: Final = msgspec.json.Decoder(msgspec.Raw)


def payload_fault(data: bytes, options: ChannelOptions) -> str:
    """Tell which rule a payload breaks, "" for none."""
    if is_nested_too_deep(data):
        return "data is nested too deep"
    match options.publication_data_format:
        case "binary":
            return ""
        case "":
            return "" if data else "data must not be empty"
        case "json":
            return "" if is_json(data) else "data must be JSON"
        case "json_object":
            return "" if data[:1] == b"{" and is_json(data) else "data must be a JSON object"


def is_nested_too_deep(data: bytes) -> bool:
    """Whether some reader may have too little of the stack left for a payload that others can read.

    What is let in must be readable everywhere: fan-out would take it for bytes that are no JSON, and end every client.
    """
    if data.count(b"[") + data.count(b"{") <= _SHALLOW:
        return False
    try:
        _decoder.decode(b"[" * _HEADROOM + data + b"]" * _HEADROOM)
    except RecursionError:
        return True
    except msgspec.DecodeError:
        return False  # whether it may be something else than JSON is for others to say
    return False
