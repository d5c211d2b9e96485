"""What-if questions of the pages, answered in a process of their own.

Years of a hospital take seconds to go through, and memory: neither is taken from those who look
at images, and what takes too long is ended. The question goes in by the child's standard input;
out come lines of JSON: its steps, then the answer, or why there is none.
"""

import asyncio
import logging
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Any, Final

import orjson

from pacs_cloud.bootstrap.held_report import prices_of
from pacs_cloud.bootstrap.services import open_stores
from pacs_cloud.bootstrap.simulating import (
    NOTHING_MOVES,
    Wanted,
    compare,
    made_up,
    past_of,
    replayed,
)
from pacs_cloud.errors import InvalidRequest, PacsError, Unavailable
from pacs_cloud.settings import Settings
from pacs_cloud.telemetry import configure_logging
from pacs_cloud.tiering.cost.hospital import Subject
from pacs_cloud.tiering.cost.layouts import LAYOUTS
from pacs_cloud.tiering.cost.prices import Speed
from pacs_cloud.tiering.cost.report import Comparison, plain_line, plain_rows
from pacs_cloud.tiering.cost.report_html import cost_charts, held_charts
from pacs_cloud.tiering.policy_file import parse_policies
from pacs_cloud.web.ops.errands import Steps
from pacs_cloud.web.ops.what_if import Answer, AnsweredBill, Question

log = logging.getLogger(__name__)

_PROGRAM: Final = "from pacs_cloud.bootstrap.what_if import main; main()"
_LINE_BYTES: Final = 64 << 20
_NICE: Final = 10
"""Whoever looks at images comes first."""


async def answer(settings: Settings, question: Question, steps: Steps) -> Answer:
    """Return the answer; the process that finds it ends with whoever waits for it.

    Raises:
        InvalidRequest: the policies cannot be understood, or the region lacks a class.
        Unavailable: the process could not be started, or ended before its answer.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _PROGRAM), stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES
        )
    except OSError as error:
        raise Unavailable(f"no process can be started: {error.strerror}") from error
    try:
        return await _ask(process, settings, question, steps)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _ask(process: Process, settings: Settings, question: Question, steps: Steps) -> Answer:
    assert process.stdin is not None
    assert process.stdout is not None
    asked = {"settings": settings.child_json(), "question": question.as_json()}
    process.stdin.write(orjson.dumps(asked))
    process.stdin.close()
    async for line in process.stdout:
        said: dict[str, Any] = orjson.loads(line)
        if "failure" in said:
            raise InvalidRequest(said["failure"])
        if "answer" in said:
            return Answer.of_json(said["answer"])
        steps.done, steps.total = said["done"], said["total"]
    raise Unavailable("the process that reckons it ended before its time: look at the log")


def main() -> None:
    """Answer the question on standard input."""
    os.nice(_NICE)
    asked = orjson.loads(sys.stdin.buffer.read())
    settings = Settings.from_child_json(asked["settings"])
    configure_logging(settings.log_level)
    try:
        found = _answered(settings, Question.of_json(asked["question"]))
    except PacsError as error:
        _say({"failure": str(error)})
    except Exception as error:  # the outermost edge: logged without its words
        log.error("what_if_failed", exc_info=error)
        sys.exit(1)
    else:
        _say({"answer": found.as_json()})


def _answered(settings: Settings, question: Question) -> Answer:
    policies = parse_policies(question.policies)
    candidates = [(NOTHING_MOVES, ()), (question.name, policies)]
    table, region_name, _ = prices_of(settings, region_name=question.region)
    steps = Steps(0, len(candidates) * len(LAYOUTS) + 1)

    def stepped() -> None:
        steps.step()
        _say({"done": steps.done, "total": steps.total})

    subject = _subject(settings, question)
    stepped()
    speed = Speed(question.speed)
    return _shown(compare(subject, candidates, table, region_name, speed, stepped=stepped))


def _subject(settings: Settings, question: Question) -> Subject:
    wanted = Wanted(question.years, None if question.is_replay else question.studies)
    return replayed(asyncio.run(_past(settings)), wanted) if question.is_replay else made_up(wanted)


async def _past(settings: Settings) -> Any:
    async with open_stores(settings) as stores:
        return await past_of(stores, settings.tenant)


def _shown(comparison: Comparison) -> Answer:
    months = comparison.calendar.names
    region = comparison.region
    return Answer(
        comparison.subject.says,
        f"{comparison.hospital.studies:,} studies from {months[0]} to {months[-1]}.",
        f"List prices of {region.title}, read {region.checked}: check them before money depends"
        " on them.",
        [{name: str(value) for name, value in row.items()} for row in plain_rows(comparison.runs)],
        list(cost_charts(comparison)),
        list(held_charts(comparison)),
        [
            AnsweredBill(
                run.name,
                [
                    {name: str(value or "") for name, value in plain_line(line).items()}
                    for line in run.outcome.total.lines
                ],
            )
            for run in comparison.runs
        ],
        [
            f"{run.candidate}: no study matches {name!r}"
            for run in comparison.runs
            if run.layout == LAYOUTS[0].name
            for name, count in run.outcome.studies.items()
            if not count
        ],
    )


def _say(what: dict[str, Any]) -> None:
    sys.stdout.buffer.write(orjson.dumps(what) + b"\n")
    sys.stdout.buffer.flush()
