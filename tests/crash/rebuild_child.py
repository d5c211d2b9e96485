"""A rebuild that is killed once so many studies are back: `python -m crash.rebuild_child DATA N`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from pacs_cloud.bootstrap.rebuilding import open_rebuild
from pacs_cloud.bootstrap.services import now_us, policy_of
from pacs_cloud.custody.rebuild import Rebuilt, rebuild
from pacs_cloud.settings import load_settings


async def _rebuild(data: Path, studies: int) -> None:
    def die(so_far: Rebuilt) -> None:
        if so_far.studies >= studies:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = load_settings({"data": data})
    async with open_rebuild(settings, resume=False) as work:
        await rebuild(
            work.objects,
            work.catalogue,
            policy=policy_of(settings),
            now_us=now_us(),
            wipe=work.wipe,
            progress=die,
            at_once=2,
        )


if __name__ == "__main__":
    asyncio.run(_rebuild(Path(sys.argv[1]), int(sys.argv[2])))
