"""The stand-in for GitHub in a container of its own: ``https://github:8443``."""

import ssl
import threading
from pathlib import Path

from tests.standin.repositories import File
from tests.standin.server import StandIn

TOKEN = "ghp_container0000000000000000000000001"
EXAMPLE = Path("/srv/example/examples/fleet")
MANY = 100
# So long that a plan still runs when a test has seen it, and then acts.
SLOW_SECONDS = 40

_FAULT = """\
terraform {{
  required_providers {{
    demo = {{ source = "driftfleet/demo" }}
  }}
}}

data "demo_fault" "this" {{
  kind    = "{kind}"
  {arguments}
}}
"""
_BUILT_IN = 'resource "terraform_data" "this" {{\n  input = "{number}"\n}}\n'


def fault(kind: str, arguments: str) -> str:
    """A root whose provider misbehaves while it plans."""
    return _FAULT.format(kind=kind, arguments=arguments)


def repositories() -> dict[str, dict[str, File]]:
    """What the stand-in serves."""
    example = {
        str(path.relative_to(EXAMPLE)): path.read_bytes()
        for path in EXAMPLE.rglob("*")
        if path.is_file()
    }
    return {
        "platform/example": dict(example),
        "platform/many": {
            f"roots/{number:03}/main.tf": _BUILT_IN.format(number=number) for number in range(MANY)
        },
        "platform/slow": {
            f"{name}/main.tf": fault("slow", f"seconds = {SLOW_SECONDS}")
            for name in ("one", "two", "three")
        },
        "platform/full": {
            # Faster than it is looked at it would fill what its neighbour has, too.
            "fills/main.tf": fault("write", "megabytes = 2000\n  seconds = 60"),
            "neighbour/main.tf": fault("slow", "seconds = 15"),
        },
    }


def main() -> None:
    """Serve until the container ends."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain("/tls/ca.pem", "/tls/key.pem")
    standin = StandIn(
        Path("/tmp/github"), address="0.0.0.0", token=TOKEN, place=("github", 8443), tls=tls
    )
    with standin:
        for name, files in repositories().items():
            standin.add_repository(name, files)
        print(f"serves {standin.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
