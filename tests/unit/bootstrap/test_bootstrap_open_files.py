import subprocess
import sys

CHILD = """
import asyncio, resource, sys
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.settings import Settings

resource.setrlimit(resource.RLIMIT_NOFILE, (256, 1000))

async def open_and_tell():
    async with open_stores(Settings(data=sys.argv[1]), create=True):
        print(*resource.getrlimit(resource.RLIMIT_NOFILE))

asyncio.run(open_and_tell())
"""


def test_an_archive_may_open_as_many_files_as_the_system_allows(tmp_path) -> None:
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert child.stdout.split() == ["1000", "1000"]
