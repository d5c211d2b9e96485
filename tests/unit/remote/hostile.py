"""A server of the tests that answers whatever a test says, byte for byte."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from pacs_cloud.remote.address import Remote
from pacs_cloud.remote.connection import Connection
from patience import PATIENCE_S

KEY = "pacs_0123456789abcdef_secret"


@dataclass
class Asked:
    """One request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """Answers requests in turn, the last answer again and again."""

    answers: list[bytes | Callable[[Asked], bytes]]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)
    goes_on: bytes = b""
    """Sent for ever behind each answer."""
    pause_s: float = 0
    """Before each of these."""
    hangs_up: bool = False
    """Behind the first answer."""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                line, *fields = head.strip().split("\r\n")
                headers = {
                    name.lower(): value
                    for name, _, value in (one.partition(": ") for one in fields)
                }
                asked = Asked(line, headers, await _body(reader, headers))
                self.asked.append(asked)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                writer.write(answer(asked) if callable(answer) else answer)
                while self.goes_on:
                    await asyncio.sleep(self.pause_s)
                    await writer.drain()
                    writer.write(self.goes_on)
                await writer.drain()
                if self.hangs_up:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def _body(reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
    if "chunked" not in headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(headers.get("content-length", "0")))
    body = b""
    while length := int(await reader.readline(), 16):
        body += await reader.readexactly(length)
        await reader.readexactly(2)
    await reader.readexactly(2)
    return body


def answer(body: bytes = b"", status: str = "200 OK", **headers: str) -> bytes:
    fields = {"content-type": "application/dicom+json", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode("latin-1") + body


@asynccontextmanager
async def asking(
    *answers: bytes | Callable[[Asked], bytes], limit_s: float = 5, **how: Any
) -> AsyncIterator[tuple[Connection, Server]]:
    server = Server(list(answers), **how)
    listening = await asyncio.start_server(server.handle, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"http://127.0.0.1:{port}/dicom-web"
    headers = {"authorization": f"Bearer {KEY}", "accept-encoding": "identity"}
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=PATIENCE_S) as client:
        yield Connection(client, Remote(server.url, KEY), limit_s=limit_s), server
    listening.close()
