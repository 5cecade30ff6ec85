"""Which headers the backend gets to see: nothing but what the settings name."""

from collections.abc import Mapping

from config.proxy_settings import EndpointSettings

__all__ = ["HeaderRules", "kept_names"]


class HeaderRules:
    """One proxy's headers, from the least trusted to the most: fixed ones, the client's own words, its HTTP request."""

    def __init__(self, settings: EndpointSettings) -> None:
        self._static = {name.lower(): value.get_secret_value() for name, value in settings.static_headers.items()}
        self._emulated = frozenset(name.lower() for name in settings.emulated_headers)
        self._http = frozenset(name.lower() for name in settings.http_headers)

    def build(self, http: Mapping[str, str], emulated: Mapping[str, str]) -> dict[str, str]:
        """Put the headers of a request together.

        Args:
            http: Headers of the connection's own HTTP request.
            emulated: Headers as the client named them in connect.
        """
        return {
            **self._static,
            **_allowed(emulated, self._emulated),
            **_allowed(http, self._http),
            "content-type": "application/json",
        }


def kept_names(settings: EndpointSettings) -> frozenset[str]:
    """Tell which of a client's emulated headers have to be remembered for a proxy, in lower case."""
    return frozenset(name.lower() for name in settings.emulated_headers)


def _allowed(headers: Mapping[str, str], names: frozenset[str]) -> dict[str, str]:
    # A value with a control character could end its line and begin another header.
    return {name.lower(): value for name, value in headers.items() if name.lower() in names and value.isprintable()}
