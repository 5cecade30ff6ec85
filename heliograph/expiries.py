"""When the certificates end that a process shows to others: its ports, its providers, and its engine."""

from collections.abc import Callable, Iterable
from pathlib import Path

from config.certificates import BadCertificate, certificate_ends_at
from config.file_prints import FilePrint, look_at
from gateway.tls import ServerTls

__all__ = ["Expiries"]


class Expiries:
    """Tells the ends by name, in Unix seconds.

    Args:
        tls: What the ports show; `http.tls`.
        engine_file: The certificate that the engine is shown, `broker`; empty for none. It is read again when the file changes.
    """

    def __init__(self, tls: ServerTls | None, engine_file: str) -> None:
        self._tls = tls
        self._files = [Path(engine_file)] if engine_file else []
        self._prints: tuple[FilePrint, ...] = ()
        self._engine_ends_at: float | None = None
        self.others: list[Callable[[], Iterable[tuple[str, float]]]] = []

    def look(self) -> list[tuple[str, float]]:
        """Tell when each ends; one that cannot be read is left out. Blocks for a moment where a file has changed."""
        told = [] if self._tls is None else [("http.tls", self._tls.ends_at)]
        if (ends_at := self._look_at_engine()) is not None:
            told.append(("broker", ends_at))
        return told + [one for tell in self.others for one in tell()]

    def _look_at_engine(self) -> float | None:
        prints = look_at(self._files)
        if prints != self._prints:
            self._prints = prints
            try:
                self._engine_ends_at = certificate_ends_at(str(self._files[0]))
            except BadCertificate:
                self._engine_ends_at = None  # what it says of connections it says itself
        return self._engine_ends_at
