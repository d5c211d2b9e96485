"""Changes that race are made again until nobody comes between."""

from pacs_cloud.catalogue.races import until_done
from pacs_cloud.errors import Conflict


async def test_a_lost_try_is_made_again_as_another_one() -> None:
    tries: list[int] = []

    async def step(attempt: int) -> bool:
        tries.append(attempt)
        if attempt < 2:
            raise Conflict("somebody came before")
        return tries.count(attempt) < 3

    await until_done(step)
    assert tries == [0, 1, 2, 2, 2]
