"""From the broker's values to the messages of the wire, the same for every encoding."""

from msgspec import Raw

from broker import model
from gateway.protocol.messages import ClientInfo, Publication, raw

__all__ = ["wire_info", "wire_publication"]


def wire_info(info: model.ClientInfo) -> ClientInfo:
    """Give a client's info its form on the wire."""
    return ClientInfo(info.user, info.client, raw(info.conn_info), raw(info.chan_info))


def wire_publication(
    publication: model.Publication, data: Raw, *, is_live: bool = False, is_delta: bool = False
) -> Publication:
    """Give a publication its form on the wire.

    Args:
        data: Its payload as the client's codec wants it.
        is_live: It is not of the past; with offset 1 it then tells the epoch to those who came before the stream.
        is_delta: `data` is a patch of the publication before it.
    """
    return Publication(
        data=data,
        info=wire_info(publication.info) if publication.info is not None else None,
        offset=publication.offset,
        tags=dict(publication.tags),
        delta=is_delta,
        epoch=publication.epoch if is_live and publication.offset == 1 else "",
    )
