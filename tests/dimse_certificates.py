"""An authority of the tests' own, and the certificates that it signs."""

import datetime as dt
import ipaddress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

_PEM = serialization.Encoding.PEM
_DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Pair:
    """A certificate and its key, as files; `whole` has both."""

    certificate: Path
    key: Path
    whole: Path
    sha256: str


class Authority:
    """Signs certificates into files."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.path = folder / f"{name}.pem"
        made = (
            self._builder(self._name, self._key.public_key(), valid=True)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.path.write_bytes(made.public_bytes(_PEM))

    def pair(self, name: str, *, valid: bool = True, rsa_bits: int = 2048) -> Pair:
        """Sign a certificate for `name` and for 127.0.0.1; `valid`: not yet over."""
        # DCMTK 3.6.7 knows RSA keys best.
        key = rsa.generate_private_key(65537, rsa_bits)
        alternatives = x509.SubjectAlternativeName(
            [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = (
            self._builder(subject, key.public_key(), valid=valid)
            .add_extension(alternatives, critical=False)
            .sign(self._key, hashes.SHA256())
        )
        secret = key.private_bytes(
            _PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        found = made.public_bytes(_PEM)
        pair = Pair(
            self.folder / f"{name}.pem",
            self.folder / f"{name}.key",
            self.folder / f"{name}.whole.pem",
            sha256(made.public_bytes(serialization.Encoding.DER)).hexdigest(),
        )
        pair.certificate.write_bytes(found)
        pair.key.write_bytes(secret)
        pair.whole.write_bytes(secret + found)
        return pair

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey,
        *,
        valid: bool,
    ) -> x509.CertificateBuilder:
        now = dt.datetime.now(dt.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * _DAY)
            .not_valid_after(now + 2 * _DAY if valid else now - _DAY)
        )
