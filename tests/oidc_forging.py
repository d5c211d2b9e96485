"""Tokens as providers make them, and as forgers would."""

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

_HASHES = {"256": hashes.SHA256, "384": hashes.SHA384, "512": hashes.SHA512}
_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}
_CURVE_NAMES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def text64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@cache
def private_key(algorithm: str, number: int = 0, bits: int = 2048) -> Any:
    """Return a key for an algorithm; another one for each number."""
    del number
    if algorithm[:2] in {"RS", "PS"}:
        return rsa.generate_private_key(65537, bits)
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    return ed25519.Ed25519PrivateKey.generate()


def jwk(key: Any, **more: Any) -> dict[str, Any]:
    """Return the public half of a key as a provider publishes it."""
    public = key.public_key()
    if isinstance(public, rsa.RSAPublicKey):
        numbers = public.public_numbers()
        said = {"kty": "RSA", "n": _number(numbers.n), "e": _number(numbers.e)}
    elif isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        size = (public.key_size + 7) // 8
        name = {256: "P-256", 384: "P-384", 521: "P-521"}[public.key_size]
        said = {
            "kty": "EC",
            "crv": name,
            "x": text64(point.x.to_bytes(size)),
            "y": text64(point.y.to_bytes(size)),
        }
    else:
        said = {"kty": "OKP", "crv": "Ed25519", "x": text64(public.public_bytes_raw())}
    return said | more


def _number(value: int) -> str:
    return text64(value.to_bytes((value.bit_length() + 7) // 8))


def signed(
    claims: Mapping[str, Any] | bytes,
    algorithm: str,
    key: Any,
    header: Mapping[str, Any] | None = None,
) -> str:
    """Return a token with whatever header is wished for, signed as `algorithm` does."""
    said = {"alg": algorithm} | dict(header or {})
    body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signing = f"{text64(json.dumps(said).encode())}.{text64(body)}"
    return f"{signing}.{text64(_signature(signing.encode(), algorithm, key))}"


def _signature(data: bytes, algorithm: str, key: Any) -> bytes:
    if algorithm == "none":
        return b""
    if algorithm == "EdDSA":
        return key.sign(data)
    digest = _HASHES[algorithm[2:]]()
    if algorithm.startswith("HS"):
        code = hmac.HMAC(key, digest)
        code.update(data)
        return code.finalize()
    if algorithm.startswith("RS"):
        return key.sign(data, padding.PKCS1v15(), digest)
    if algorithm.startswith("PS"):
        return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(digest)))
    size = (key.key_size + 7) // 8
    return r.to_bytes(size) + s.to_bytes(size)
