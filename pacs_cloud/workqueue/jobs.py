"""What a job says, and how it lies in a queue."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pacs_cloud.errors import InvalidRequest

BODY_LIMIT_BYTES = 256 << 10
"""The largest message that every SQS takes; AWS alone has allowed 1 MiB since 2025."""
MALFORMED = "malformed"
"""The kind that stands for a message that is no job; it is dead from the start."""


class Job(BaseModel):
    """One thing to do; whoever handles it must bear seeing it twice.

    Attributes:
        job_id: unique; a handler may use it to recognise a repeat.
        kind: which handler, e.g. "pack-stored".
        tenant: whose data.
        body: the handler's own fields; UIDs and keys, never patient data.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    job_id: str = Field(min_length=1, max_length=128)
    kind: str = Field(pattern=r"^[a-z][a-z0-9-]{0,63}$")
    tenant: str = Field(min_length=1, max_length=64)
    body: dict[str, Any] = Field(default_factory=dict)


def encode(job: Job) -> str:
    """Return `job` as ASCII JSON, which any queue carries unchanged.

    Raises:
        InvalidRequest: it is over 256 KiB, or its body is not JSON.
    """
    try:
        # Not pydantic's JSON, which would turn what JSON cannot say into null or text.
        text = json.dumps(job.model_dump(), separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"job {job.job_id} cannot be written as JSON") from error
    if len(text) > BODY_LIMIT_BYTES:
        raise InvalidRequest(f"job {job.job_id} has {len(text)} bytes, over {BODY_LIMIT_BYTES}")
    return text


def decode(text: str) -> Job | None:
    """Return the job that `text` says, None when it says none."""
    try:
        return Job.model_validate_json(text)
    except ValidationError:
        return None


def malformed(name: str, text: str) -> Job:
    """Return what stands for a message that is no job; it does not repeat the message's words."""
    return Job(job_id=name, kind=MALFORMED, tenant="-", body={"length": len(text)})
