"""What a publication may consist of in a channel (`publication_data_format`); the same rule for clients and for the API."""

from config.settings import ChannelOptions
from gateway.protocol.json_codec import is_json

__all__ = ["payload_fault"]


def payload_fault(data: bytes, options: ChannelOptions) -> str:
    """Tell which rule a payload breaks, "" for none."""
    match options.publication_data_format:
        case "binary":
            return ""
        case "":
            return "" if data else "data must not be empty"
        case "json":
            return "" if is_json(data) else "data must be JSON"
        case "json_object":
            return "" if data[:1] == b"{" and is_json(data) else "data must be a JSON object"
