"""QIDO-RS over HTTP on the catalogue that `bench.catalogue_seed` has filled (1,000,000 studies).

Warm: the file in memory, the same server, other values each time. Cold: the server started
anew and the file forgotten by the operating system, then each search once, in turn the first.
"""

import argparse
import http.client
import json
import random
import sys
import time
import urllib.parse
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from bench.catalogue_seed import DAYS, FIRST_DAY, forget, made, middle
from bench.servers import Server, pacs

Query = dict[str, str]


def searches(count: int) -> dict[str, Callable[[random.Random], Query]]:
    """Return the searches of the bar, each with a part that varies where there is one."""

    def value(tag: str, dice: random.Random) -> str:
        return str(made(dice.randrange(count), count).common[tag]["Value"][0])

    def month(dice: random.Random) -> Query:
        day = FIRST_DAY + timedelta(days=dice.randrange(DAYS - 31))
        dates = f"{day:%Y%m%d}-{day + timedelta(days=30):%Y%m%d}"
        return {"StudyDate": dates, "ModalitiesInStudy": "CT"}

    return {
        "patient ID": lambda dice: {"PatientID": value("00100020", dice)},
        "accession": lambda dice: {"AccessionNumber": value("00080050", dice)},
        "SMITH^J*": lambda _: {"PatientName": "SMITH^J*"},
        "*^ANNA*": lambda _: {"PatientName": "*^ANNA*"},
        "31 days of CT": month,
        "latest 100": lambda _: {},
    }


class Client:
    """One connection, kept."""

    def __init__(self, server: Server) -> None:
        web = urllib.parse.urlsplit(server.web)
        assert web.hostname is not None
        self._path = web.path
        self._connection = http.client.HTTPConnection(web.hostname, web.port)

    def ask(self, query: Query) -> tuple[float, int]:
        """Return the milliseconds to the whole answer, and how many studies it holds."""
        words = urllib.parse.urlencode({**query, "limit": "100"})
        started = time.perf_counter()
        self._connection.request(
            "GET",
            f"{self._path}/studies?{words}",
            headers={"Accept": "application/dicom+json", "Accept-Encoding": "identity"},
        )
        answer = self._connection.getresponse()
        body = answer.read()
        took_ms = (time.perf_counter() - started) * 1000
        if answer.status not in {200, 204}:
            raise SystemExit(f"{answer.status} for {words}: {body[:300]!r}")
        return took_ms, len(json.loads(body)) if body else 0


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--data", type=Path, default=Path(".bench/million"))
    asked.add_argument("--studies", type=int, default=1_000_000)
    asked.add_argument("--warm", type=int, default=200)
    asked.add_argument("--cold", type=int, default=20)
    said = asked.parse_args()
    file = said.data / "catalogue.sqlite"
    if not file.exists():
        sys.exit(f"{file} is not there: run python -m bench.catalogue_seed {file} first")
    (said.data / "objects").mkdir(exist_ok=True)  # what makes it an archive
    asking = searches(said.studies)
    warm: dict[str, list[float]] = {}
    shown: dict[str, int] = {}
    with file.open("rb") as whole:
        while whole.read(1 << 24):
            pass
    with pacs(said.data, kept=said.data) as server:
        client = Client(server)
        for name, query in asking.items():
            dice = random.Random(7)
            shown[name] = client.ask(query(dice))[1]
            warm[name] = [client.ask(query(dice))[0] for _ in range(said.warm)]
    cold: dict[str, list[float]] = defaultdict(list)
    names = list(asking)
    dice = random.Random(8)
    for turn in range(said.cold):
        with pacs(said.data, kept=said.data) as server:
            forget(file)
            client = Client(server)
            for name in names[turn % len(names) :] + names[: turn % len(names)]:
                cold[name].append(client.ask(asking[name](dice))[0])
    print(f"{'search':<16}{'shown':>7}{'warm p50':>10}{'p95':>8}{'cold p50':>10}{'p95':>8}  ms")
    for name in names:
        figures = (*middle(warm[name]), *middle(cold[name]))
        print(f"{name:<16}{shown[name]:>7}" + "{:>10.2f}{:>8.2f}{:>10.2f}{:>8.2f}".format(*figures))


if __name__ == "__main__":
    main()
