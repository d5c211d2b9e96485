"""The study list over a catalogue of made-up studies: milliseconds to the first byte, and bytes.

The whole application in this process, asked without a socket by somebody who is signed in. A
page is sent when all of it is made, so that its first byte is when its last is known.
"""

import argparse
import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import httpx

from bench.catalogue_seed import fill, middle
from pacs_cloud.bootstrap.accounts import accounts_of, sessions_of
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.bootstrap.session_secrets import session_secrets
from pacs_cloud.bootstrap.web_application import open_application
from pacs_cloud.catalogue.elements import first_text
from pacs_cloud.catalogue.port import ByDate
from pacs_cloud.catalogue.records import StudyRecord
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.settings import Settings, load_settings

SITE = "http://127.0.0.1:8080"
PASSWORD = "horse staple lamp"
HERE = 40
"""Studies of one page."""


async def measure(settings: Settings, studies: int, rounds: int) -> None:
    async with open_stores(settings, create=True) as stores:
        rate = await fill(stores.catalogue, studies)
        print(f"{studies:,} studies, filled at {rate:,.0f} a second")
        page = await stores.catalogue.studies(settings.tenant, ByDate(), limit=HERE)
        accounts = accounts_of(settings, stores.objects)
        user = await accounts.redeem(
            await accounts.create("bench", [Grant(Role.RADIOLOGIST)]), PASSWORD
        )
        session = sessions_of(settings, accounts).issue(user, address="")
        async with open_application(settings, stores, stores.ready) as app:
            transport = httpx.ASGITransport(app, client=("127.0.0.1", 40000))
            fields = {"cookie": f"pacs={session}", "accept": "text/html"}
            async with httpx.AsyncClient(
                transport=transport, base_url=SITE, headers=fields
            ) as client:
                for name, path in paths(page.studies).items():
                    await timed(client, name, path, rounds)


def paths(newest: tuple[StudyRecord, ...]) -> dict[str, str]:
    """Return what is asked for; the studies are the newest ones."""
    one = newest[len(newest) // 2]
    patient_id = first_text(one.attributes, "00100020")
    return {
        "the list": "/",
        "a name, the first letters": "/?name=smi",
        "a name and a given name": "/?name=anna+smith",
        "names that sound alike": "/?name=schmitt&sounds=1",
        "a patient ID": f"/?id={patient_id}",
        "how a patient ID begins": f"/?id={patient_id[:-1]}",
        "words of a description": "/?description=chest",
        "nothing of all this": "/?description=nowhere",
        "CT of a year": "/?modality=CT&since=2020-01-01&until=2020-12-31",
        "studies 2,001 to 2,040": "/?from=2000",
        "what comes a moment later": "/studies/asides?of="
        + ",".join(study.study_instance_uid for study in newest),
        "one study": f"/studies/{one.study_instance_uid}",
    }


async def timed(client: httpx.AsyncClient, name: str, path: str, rounds: int) -> None:
    times: list[float] = []
    size = 0
    for _ in range(rounds):
        started = time.perf_counter()
        answer = await client.get(path)
        times.append((time.perf_counter() - started) * 1000)
        assert answer.status_code in {200, 204}, (path, answer.status_code)
        size = len(answer.content)
    half, most = statistics.median(times), middle(times)[1]
    print(f"{name:28} {half:7.1f} ms, 95 of 100 within {most:7.1f} ms, {size / 1000:6.1f} kB")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--studies", type=int, default=5_000)
    asked.add_argument("--rounds", type=int, default=50)
    said = asked.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        settings = load_settings({"data": Path(folder) / "data"})
        session_secrets(settings)
        asyncio.run(measure(settings, said.studies, said.rounds))


if __name__ == "__main__":
    main()
