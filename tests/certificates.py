"""A certificate for tests of TLS on loopback."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from tests.conftest import require_program


class Certificate(NamedTuple):
    """Both as PEM files; the certificate is its own authority."""

    path: Path
    key: Path


def make_certificate(folder: Path, name: str = "127.0.0.1") -> Certificate:
    """A certificate of an address, or of a host by its name."""
    kind = "IP" if name[0].isdigit() else "DNS"
    openssl = require_program("openssl", "it makes the test's certificate")
    made = Certificate(folder / "ca.pem", folder / "key.pem")
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         f"/CN={name}", "-addext", f"subjectAltName={kind}:{name}", "-keyout", made.key,
         "-out", made.path],
        check=True, capture_output=True,
    )  # fmt: skip
    return made
