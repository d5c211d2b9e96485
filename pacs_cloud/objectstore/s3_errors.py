"""What S3 and its clients say, in this package's errors."""

import re
from collections.abc import Mapping

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from obstore.exceptions import (
    AlreadyExistsError,
    BaseError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)

from pacs_cloud.errors import (
    Conflict,
    Corrupt,
    Denied,
    InvalidRequest,
    NotFound,
    Offline,
    PacsError,
    Unavailable,
)

VENDOR_ERRORS = (BaseError, FileNotFoundError, BotoCoreError, ClientError)
"""What obstore and botocore raise."""

NO_SUCH_FEATURE = frozenset({"MethodNotAllowed", "NotImplemented", "405", "501"})
"""What S3-compatible stores answer to a verb they do not have."""

# Amazon S3 API Reference, "List of error codes"; a HEAD has its status alone.
_BY_CODE: Mapping[str, type[PacsError]] = {
    "NoSuchKey": NotFound,
    "NoSuchVersion": NotFound,
    "404": NotFound,
    # The bucket's absence says nothing about an object's: it may be a typing mistake.
    "NoSuchBucket": Unavailable,
    "PreconditionFailed": Conflict,
    "ConditionalRequestConflict": Conflict,
    "412": Conflict,
    "InvalidObjectState": Offline,
    "ObjectNotInActiveTierError": Offline,
    "InvalidStorageClass": InvalidRequest,
    # No room for those in a hurry now: asking again does not make any.
    "GlacierExpeditedRetrievalNotAvailable": InvalidRequest,
    "InvalidRange": Corrupt,
    "416": Corrupt,
    "AccessDenied": Denied,
    "AccountProblem": Denied,
    "AllAccessDisabled": Denied,
    "AuthorizationHeaderMalformed": Denied,
    "ExpiredToken": Denied,
    "InvalidAccessKeyId": Denied,
    "InvalidToken": Denied,
    "RequestTimeTooSkewed": Denied,
    "SignatureDoesNotMatch": Denied,
    "TokenRefreshRequired": Denied,
    "401": Denied,
    "403": Denied,
}

_REFUSED = frozenset({"AccessDenied", "403"})
_WRITES = "s3:PutObject"
_COPIES = "s3:GetObject, s3:GetObjectTagging, s3:PutObject and s3:PutObjectTagging"
# Service Authorization Reference, "Actions defined by Amazon S3", where it is not the operation's.
_PERMISSIONS: Mapping[str, str] = {
    "CompleteMultipartUpload": _WRITES,
    "CopyObject": _COPIES,
    "CreateMultipartUpload": _WRITES,
    "DeleteObject": "s3:DeleteObject and s3:DeleteObjectVersion",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetObjectLockConfiguration": "s3:GetBucketObjectLockConfiguration",
    "HeadObject": "s3:GetObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListObjectVersions": "s3:ListBucketVersions",
    "ListObjectsV2": "s3:ListBucket",
    "UploadPart": _WRITES,
    "UploadPartCopy": _COPIES,
}

_BY_CLASS: tuple[tuple[type[Exception], type[PacsError]], ...] = (
    (FileNotFoundError, NotFound),
    (AlreadyExistsError, Conflict),
    (PreconditionError, Conflict),
    (PermissionDeniedError, Denied),
    (UnauthenticatedError, Denied),
    (NoCredentialsError, Denied),
    (PartialCredentialsError, Denied),
)

_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3})")


def code_of(error: Exception) -> str:
    """Return S3's error code, the HTTP status where there is no code, else ""."""
    if isinstance(error, ClientError):
        return str(error.response.get("Error", {}).get("Code", ""))
    if isinstance(error, (BaseError, FileNotFoundError)):
        text = str(error)
        found = _CODE.search(text) or _STATUS.search(text)
        return found.group(1) if found else ""
    return ""


def translated(what: str, error: Exception) -> PacsError:
    """Return `error`, one of VENDOR_ERRORS, as ours; `what` was being done."""
    code = code_of(error)
    kind = _BY_CODE.get(code)
    if kind is None:
        kind = next((ours for theirs, ours in _BY_CLASS if isinstance(error, theirs)), Unavailable)
    if code in _REFUSED:
        return kind(f"{what}: {code}: it takes {_permission(what, error)}")
    # obstore's text goes on with a debugging dump.
    first_line = str(error).split("\n", 1)[0]
    return kind(f"{what}: {code}" if code else f"{what}: {type(error).__name__}: {first_line:.300}")


def _permission(what: str, error: Exception) -> str:
    """Return which permission lacks, as a policy names it."""
    if isinstance(error, ClientError):
        operation = str(error.operation_name)
    else:
        operation = "PutObject" if what.startswith("put") else "GetObject"
    return _PERMISSIONS.get(operation, f"s3:{operation}")
