"""AWS STS, as far as roles are assumed: each time with other keys, which end soon."""

import contextlib
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

_ANSWER = """\
<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/results/x</Arn>
<AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>sts-secret</SecretAccessKey>
<SessionToken>sts-token</SessionToken><Expiration>{end}</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>"""
_REFUSAL = """\
<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>{code}</Code><Message>User: arn:aws:iam::123456789012:user/worker is not authorized to
perform: sts:AssumeRole</Message></Error><RequestId>sts-request</RequestId></ErrorResponse>"""


class Sts(ThreadingHTTPServer):
    """``asked`` are the parameters of each request, ``signed`` is by whom.

    Keys are good for ``lasts_seconds``; where it ``refuses``, with that code, there are none.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        self.asked: list[dict[str, str]] = []
        self.signed: list[str] = []
        self.lasts_seconds = 3600.0
        self.refuses = ""


class _Handler(BaseHTTPRequestHandler):
    server: Sts

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.asked.append({name: value for name, (value,) in parse_qs(body).items()})
        self.server.signed.append(self.headers.get("Authorization", ""))
        end = datetime.now(UTC) + timedelta(seconds=self.server.lasts_seconds)
        key = f"ASIA{len(self.server.asked):016}"
        self.send_response(403 if self.server.refuses else 200)
        self.send_header("Content-Type", "text/xml")
        self.end_headers()
        text = _ANSWER.format(key=key, end=end.strftime("%Y-%m-%dT%H:%M:%SZ"))
        refusal = _REFUSAL.format(code=self.server.refuses)
        self.wfile.write((refusal if self.server.refuses else text).encode())

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def running_sts() -> Iterator[Sts]:
    """A server for the block."""
    with Sts() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
