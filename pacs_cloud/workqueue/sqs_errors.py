"""What SQS and its client say, in this package's errors."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from pacs_cloud.errors import Denied, InvalidRequest, PacsError, Unavailable

# Amazon SQS API Reference, each action's errors and "Common Errors".
_BY_CODE: Mapping[str, type[PacsError]] = {
    "AccessDenied": Denied,
    "AccessDeniedException": Denied,
    "IncompleteSignature": Denied,
    "InvalidClientTokenId": Denied,
    "InvalidSecurity": Denied,
    "KmsAccessDenied": Denied,
    "MissingAuthenticationToken": Denied,
    "SignatureDoesNotMatch": Denied,
    "UnrecognizedClientException": Denied,
    "ExpiredToken": Denied,
    "InvalidMessageContents": InvalidRequest,
    "MessageTooLong": InvalidRequest,
}

LOST = frozenset({"MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue"})
"""What a receipt that is no longer good is answered with."""


def code_of(error: ClientError) -> str:
    """Return SQS's error code without the prefix of its older protocol."""
    return str(error.response.get("Error", {}).get("Code", "")).rsplit(".", 1)[-1]


@contextmanager
def queue_errors(queue: str) -> Generator[None]:
    """Raise botocore's errors as ours."""
    try:
        yield
    except ClientError as error:
        code = code_of(error)
        raise _BY_CODE.get(code, Unavailable)(f"queue {queue}: {code}") from error
    except (NoCredentialsError, PartialCredentialsError) as error:
        raise Denied(f"queue {queue}: no AWS credentials") from error
    except BotoCoreError as error:
        raise Unavailable(f"queue {queue}: {type(error).__name__}") from error
