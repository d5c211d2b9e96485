"""What knowing who asks costs: frames a second with each way to sign in, and with none.

Two web processes over one archive in one run: one lets everybody in, one whom it knows. Rounds
are short and in turns, so that what else the machine does meets all alike; the first way comes
twice in each, which shows the noise. Both put on record who sees what, as they do by default.
"""

import argparse
import asyncio
import json
import statistics
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bench.datasets import made
from bench.frames import Case, ask
from bench.reading import store
from bench.servers import Server, pacs, web
from oidc_forging import jwk, private_key, signed
from pacs_cloud.identity.accounts import Accounts
from pacs_cloud.identity.keys import ApiKeys
from pacs_cloud.identity.sessions import Sessions
from pacs_cloud.objectstore.local import LocalObjectStore
from pacs_cloud.security.caller import Grant, Role
from pacs_cloud.security.rules import StudyRule

SECONDS = 1
AUDIENCE = "bench"
CASE = Case("frame", "/frames/1", 'multipart/related; type="application/octet-stream"', 8)
OPEN = "no sign-in"
DAY_US = 86_400_000_000


@dataclass
class Tally:
    """What one way brought, round by round: requests a second, and CPU ms for each."""

    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    errors: set[str] = field(default_factory=set)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--work", type=Path, default=Path(".bench"))
    asked.add_argument("--rounds", type=int, default=20)
    options = asked.parse_args()
    data = options.work / "pacs"
    with pacs(options.work) as server:
        store(server, made("ct200", options.work))
    secret = "s" * 32
    ways = asyncio.run(_shown(data / "objects", secret))
    with provider() as issuer:
        ways["bearer token (OIDC)"] = {"authorization": f"Bearer {_token(issuer)}"}
        known = {
            "PACS_SESSION_SECRET": secret,
            "PACS_OIDC_ISSUER": issuer,
            "PACS_OIDC_AUDIENCES": AUDIENCE,
            "PACS_OIDC_GRANTS": json.dumps(
                [{"claim": "groups", "value": "bench", "role": "radiologist"}]
            ),
            "PACS_WEB_PROCESSES": "1",
        }
        everybody = {"PACS_NO_AUTH": "true", "PACS_WEB_PROCESSES": "1"}
        with (
            web(options.work, data, "open", **everybody) as open_,
            web(options.work, data, "known", **known) as closed,
        ):
            turns = {OPEN: (open_, {}), "no sign-in, again": (open_, {})}
            turns |= {name: (closed, fields) for name, fields in ways.items()}
            _show(_rounds(turns, options.rounds, options.work))


def _rounds(
    turns: Mapping[str, tuple[Server, Mapping[str, str]]], rounds: int, work: Path
) -> dict[str, Tally]:
    tallies = {name: Tally() for name in turns}
    for number in range(rounds + 1):
        for name, (server, fields) in turns.items():
            before, tally = server.cpu_s(), tallies[name]
            run = ask(server, CASE, work, fields=fields, seconds=SECONDS)
            tally.errors |= {run.errors} - {""}
            if number:  # the first one is for warming up
                tally.rates.append(run.rate)
                tally.cpu_ms.append((server.cpu_s() - before) * 1e3 / (run.rate * SECONDS))
    return tallies


def _show(tallies: Mapping[str, Tally]) -> None:
    """Print each way's rate and CPU, and how they compare with no sign-in.

    By rate: the median of its ratios by round, and their quartiles. By CPU: of the medians,
    and of the rounds that cost least, which others' work on the machine has spoilt least.
    """
    print(
        f"{'':24} {'req/s':>6} {'CPU ms':>7}  {'rate (quartiles)':20} {'CPU':>6} {'least CPU':>9}"
    )
    first = tallies[OPEN]
    for name, tally in tallies.items():
        rates = [one / other for one, other in zip(tally.rates, first.rates, strict=True)]
        low, middle, high = statistics.quantiles(rates, n=4)
        cpu_ms, of_cpu_ms = statistics.median(tally.cpu_ms), statistics.median(first.cpu_ms)
        print(
            f"{name:24} {statistics.median(tally.rates):6.0f} {cpu_ms:7.3f}  "
            f"{middle:.3f} ({low:.3f}-{high:.3f})  {cpu_ms / of_cpu_ms:6.3f} "
            f"{min(tally.cpu_ms) / min(first.cpu_ms):9.3f}"
            f"{'  ' + '; '.join(sorted(tally.errors)) if tally.errors else ''}",
            flush=True,
        )


async def _shown(folder: Path, secret: str) -> dict[str, Mapping[str, str]]:
    """Make a user and two keys; return the header fields that each of them sends."""
    now_us = time.time_ns() // 1000
    everything = Grant(Role.RADIOLOGIST)
    rule = StudyRule(institutions=frozenset({"General Hospital"}))
    async with LocalObjectStore(folder) as objects:
        accounts = Accounts(objects, "default", lambda: now_us, keep_s=0)
        await accounts.redeem(await accounts.create("bench", [everything]), "horse staple lamp")
        user = await accounts.sign_in("bench", "horse staple lamp", address="")
        session = Sessions(accounts, [secret.encode()], lambda: now_us).issue(user, address="")
        keys = ApiKeys(objects, "default", lambda: now_us, keep_s=0)
        shown = {"API key": "", "API key, a rule": ""}
        for name, grant in zip(shown, (everything, Grant(Role.RADIOLOGIST, (rule,))), strict=True):
            _, shown[name] = await keys.create([grant], until_us=now_us + DAY_US, note=name)
    ways: dict[str, Mapping[str, str]] = {
        name: {"authorization": f"Bearer {key}"} for name, key in shown.items()
    }
    return {**ways, "session": {"cookie": f"pacs={session}"}}


@contextmanager
def provider() -> Iterator[str]:
    """Be an OpenID provider of one key on a free port; yield its issuer."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            keys = {"keys": [jwk(private_key("ES256"), kid="k", use="sig")]}
            said = {"issuer": issuer, "jwks_uri": f"{issuer}/keys"}
            body = json.dumps(keys if self.path == "/keys" else said).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        issuer = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield issuer
        finally:
            server.shutdown()


def _token(issuer: str) -> str:
    now_s = int(time.time())
    claims = {"iss": issuer, "aud": AUDIENCE, "sub": "anna", "exp": now_s + 7200}
    header = {"kid": "k", "typ": "at+jwt"}
    return signed({**claims, "groups": ["bench"]}, "ES256", private_key("ES256"), header)


if __name__ == "__main__":
    main()
