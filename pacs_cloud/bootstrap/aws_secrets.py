"""What AWS keeps secret: Secrets Manager's texts, and keys that KMS decrypts."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from pacs_cloud.aws import new_session
from pacs_cloud.errors import Denied, NotFound, Unavailable

_MISSING = frozenset({"ResourceNotFoundException", "NotFoundException"})
_REFUSED = frozenset(
    {
        "AccessDeniedException",
        "AccessDenied",
        "InvalidCiphertextException",
        "IncorrectKeyException",
        "DisabledException",
        "KMSInvalidStateException",
        "UnrecognizedClientException",
    }
)
_OPTIONS = AioConfig(
    connect_timeout=3, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 4}
)


async def secret_text(name: str, *, region: str = "") -> str:
    """Return a secret of Secrets Manager, in its newest version.

    Raises:
        NotFound: there is none of this name, or it is no text.
        Denied, Unavailable: AWS refuses, or cannot be reached.
    """
    answer = await _asked(
        "secretsmanager", region, lambda client: client.get_secret_value(SecretId=name)
    )
    text = answer.get("SecretString")
    if not isinstance(text, str):
        raise NotFound(f"secret {name} holds no text")
    return text


async def decrypted_by_kms(
    encrypted: bytes, context: Mapping[str, str], *, region: str = ""
) -> bytes:
    """Return what KMS decrypts, in an encryption context; raises as `secret_text`."""
    answer = await _asked(
        "kms",
        region,
        lambda client: client.decrypt(CiphertextBlob=encrypted, EncryptionContext=dict(context)),
    )
    return bytes(answer["Plaintext"])


async def _asked(
    service: str, region: str, ask: Callable[[Any], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    session = new_session()
    where = region or session.get_config_variable("region") or "us-east-1"
    try:
        async with session.create_client(service, region_name=where, config=_OPTIONS) as client:
            return await ask(client)
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise NotFound(f"{service} has no such thing: {code}") from error
        kind = Denied if code in _REFUSED else Unavailable
        raise kind(f"{service}: {code}") from error
    except (BotoCoreError, OSError) as error:
        raise Unavailable(f"{service} cannot be reached: {type(error).__name__}") from error
