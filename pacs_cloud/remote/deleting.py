"""DELETE, asked: PS3.18 has none; most archives that delete over DICOMweb do it so."""

from typing import Final

from pacs_cloud.remote.connection import Connection

_DONE: Final = frozenset({200, 202, 204})


async def delete(connection: Connection, study: str, series: str, instance: str) -> None:
    """Return once a study, a series of it or an instance of that is deleted.

    Raises:
        Denied, NotFound, Unavailable, …: as `Connection.ask`.
    """
    named = ("studies", study), ("series", series), ("instances", instance)
    path = "".join(f"/{level}/{uid}" for level, uid in named if uid)
    async with connection.ask("DELETE", path, fine=_DONE):
        pass
