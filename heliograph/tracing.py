"""Whether a process writes traces, and with what."""

import sys
from importlib.metadata import version

from config.errors import SettingsError
from config.settings import Settings
from config.tracing import NO_TRACING, Tracing

__all__ = ["open_tracing"]


def open_tracing(settings: Settings, *, instance: str) -> Tracing:
    """Open the tracing that the settings ask for; its library is imported only then.

    Args:
        instance: Names this process among those of the service.
    Raises:
        SettingsError: The library is not installed.
    """
    if not settings.tracing.enabled:
        return NO_TRACING
    try:
        from config.tracing_sdk import SdkTracing, sending_processor
    except ModuleNotFoundError as exc:
        if (exc.name or "").partition(".")[0] != "opentelemetry":
            raise
        rule = f"needs the extra `tracing`: {sys.executable} -m pip install 'heliograph[tracing]'"
        raise SettingsError([f"tracing.enabled: {rule}"]) from None
    return SdkTracing(settings.tracing, sending_processor(settings.tracing), instance=instance, version=version("heliograph"))
