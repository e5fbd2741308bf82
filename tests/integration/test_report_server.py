"""What `driftfleet report --serve` gives to whoever asks, and what it gives to nobody."""

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from driftfleet.errors import ConfigurationError, StoreUnavailable
from driftfleet.publishing import publish
from driftfleet.report.links import INDEX_KEY, href
from driftfleet.report.root import page_of
from driftfleet.settings import Settings
from driftfleet.store.files import FileObjects
from driftfleet.store.memory import MemoryObjects
from producer.report_server import ReportServer, key_of
from tests.sites import AT, job, result, swept

ODD = "a%2e b/100%"


class Away(MemoryObjects):
    """A store that doesn't answer."""

    def get(self, key: str) -> bytes | None:
        raise StoreUnavailable(f"{key}: the bucket is away")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ReportServer]:
    folder = tmp_path / "results"
    objects = FileObjects(folder)
    swept(objects, ["a", ODD])
    publish(objects, Settings(), AT)
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "site" / ".hidden").write_text("secret")
    (folder / "open").mkdir()
    (folder / "open" / "x.json").write_text("{}")
    with ReportServer(objects, 0) as started:
        yield from running(started)


def running(started: ReportServer) -> Iterator[ReportServer]:
    thread = threading.Thread(target=started.serve_forever, args=(0.01,))
    thread.start()
    yield started
    started.shutdown()
    thread.join()


def ask(
    server: ReportServer, path: str, method: str = "GET", host: str | None = None
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)
    connection.putrequest(method, path, skip_host=True)
    connection.putheader("Host", host or f"127.0.0.1:{server.server_port}")
    connection.endheaders()
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def test_pages_and_records_are_shown_with_their_types(server: ReportServer) -> None:
    one = result(job("a"))
    for key, kind in (
        (INDEX_KEY, "text/html"),
        (page_of(one.latest_key), "text/html"),
        (one.latest_key, "application/json"),
    ):
        status, headers, body = ask(server, f"/{key}")
        assert status == 200
        assert headers["Content-Type"].startswith(kind)
        assert body == server.objects.get(key)


def test_every_answer_has_the_headers_that_keep_others_out(server: ReportServer) -> None:
    for path in (f"/{INDEX_KEY}", "/nothing", "/"):
        _, headers, _ = ask(server, path)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        assert "Python" not in headers.get("Server", "")


def test_a_key_with_percent_signs_is_found_by_its_link(server: ReportServer) -> None:
    key = page_of(result(job(ODD)).latest_key)
    assert "%25" in key
    status, _, _ = ask(server, f"/site/{href(INDEX_KEY, key)}")
    assert status == 200


def test_the_top_leads_to_the_front_page(server: ReportServer) -> None:
    for path in ("/", "/site", "/site/"):
        status, headers, _ = ask(server, path)
        assert (status, headers["Location"]) == (302, f"/{INDEX_KEY}")


def test_a_head_is_a_get_without_its_body(server: ReportServer) -> None:
    status, headers, body = ask(server, f"/{INDEX_KEY}", "HEAD")
    assert (status, body) == (200, b"")
    assert int(headers["Content-Length"]) > 1000


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
def test_nothing_but_looking_is_possible(server: ReportServer, method: str) -> None:
    assert ask(server, f"/{INDEX_KEY}", method)[0] == 405


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt", "/site/../../secret.txt", "/site/%2e%2e/%2e%2e/secret.txt",
        "/site/..%2f..%2fsecret.txt", "/site//etc/passwd", "//etc/passwd", "/site/.hidden",
        "/site/./index.html", "/.lock", "/open/x.json", "/catalog/fleet.json.gz", "/site/roots",
        "/site/\\..\\x", "/site/%00", "/site/a%0d%0aX:%20y", "/site/" + "a" * 300,
        "/site/" + "a/" * 3000, "site/index.html", "http://127.0.0.1/site/index.html", "*",
        "/latest", "/results/", "/roots/acme/infra.json", "/site/index.html/", "/site/%ff",
    ],
)  # fmt: skip
def test_what_is_no_page_and_no_record_is_not_there(server: ReportServer, path: str) -> None:
    if path == "site/index.html":
        assert key_of(path) == path
        return
    status, _, body = ask(server, path)
    assert status in (400, 404)
    assert b"secret" not in body


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost:1", "", "127.0.0.1.nip.io"]
)
def test_another_name_for_this_machine_gets_nothing(server: ReportServer, host: str) -> None:
    status, _, body = ask(server, f"/{INDEX_KEY}", host=host or " ")
    assert status == 421
    assert b"<html" not in body


def test_localhost_is_this_machine(server: ReportServer) -> None:
    assert ask(server, f"/{INDEX_KEY}", host=f"localhost:{server.server_port}")[0] == 200


def test_it_listens_on_loopback_alone(server: ReportServer) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert server.url == f"http://127.0.0.1:{server.server_port}/site/index.html"


def test_garbage_is_answered_and_holds_up_nobody(server: ReportServer) -> None:
    quiet = socket.create_connection(("127.0.0.1", server.server_port))
    for head in (b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"A" * 70_000):
        with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as rude:
            rude.sendall(head + b"\r\n\r\n")
            assert rude.recv(100).startswith((b"HTTP/1.0 4", b"HTTP/1.0 5", b"4"))
    assert ask(server, f"/{INDEX_KEY}")[0] == 200
    quiet.close()


def test_a_store_that_is_away_is_told() -> None:
    with ReportServer(Away(), 0) as started:
        for server in running(started):
            status, _, body = ask(server, f"/{INDEX_KEY}")
            assert (status, body) == (503, b"site/index.html: the bucket is away\n")


def test_a_port_that_is_taken_is_told_with_the_mend() -> None:
    with (
        ReportServer(MemoryObjects(), 0) as first,
        pytest.raises(ConfigurationError, match="name another port with --port"),
    ):
        ReportServer(MemoryObjects(), first.server_port)
