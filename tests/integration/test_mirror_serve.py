"""`driftfleet mirror serve`: real inits through it, and clients that mean no good."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog

from driftfleet.mirror.hashes import package_hash
from driftfleet.mirror.layout import unpacked
from driftfleet.mirror.prune import prune
from driftfleet.mirror.server import MirrorServer, ServerLimits
from driftfleet.mirror.staging import staging
from driftfleet.mirror.verify import verify
from tests import providers
from tests.binaries import opentofu
from tests.certificates import Certificate, make_certificate
from tests.integration.test_mirror_sync import ADDRESS, COMMAND, ONE, environment, root, run
from tests.log_lines import whole_lines
from tests.workers import wait_until

TWO = ONE._replace(version="1.1.0")


@dataclass
class Serving:
    """A `mirror serve` that runs; ``log`` is its standard error."""

    url: str
    certificate: Certificate
    process: "subprocess.Popen[bytes] | None"
    log: Path

    def requests(self) -> list[dict]:
        lines = [json.loads(line) for line in whole_lines(self.log)]
        return [line for line in lines if line["event"] == "mirror_request"]

    def init(
        self, folder: Path, program: str = "terraform", expect: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """``init`` of a root that has nothing but this to install from."""
        place = folder.parent / f"{folder.name}-home"
        place.mkdir(exist_ok=True)
        config = place / "terraform.rc"
        config.write_text(
            "disable_checkpoint = true\nprovider_installation {\n"
            f'  network_mirror {{ url = "{self.url}" }}\n}}\n'
        )
        done = subprocess.run(
            [program, "init", "-no-color"],
            cwd=folder, timeout=120, capture_output=True, text=True, check=False,
            env={
                "PATH": os.environ["PATH"], "HOME": str(place), "TMPDIR": str(place),
                "TF_CLI_CONFIG_FILE": str(config), "CHECKPOINT_DISABLE": "1",
                "SSL_CERT_FILE": str(self.certificate.path),
            },
        )  # fmt: skip
        assert done.returncode == expect, (done.stdout, done.stderr)
        return done


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """Two versions, brought by a sync: each has its record."""
    providers.require_terraform()
    origin = providers.build_mirror(tmp_path / "origin", versions=("1.0.0", "1.1.0"))
    root(tmp_path / "wants" / "a", "1.0.0")
    root(tmp_path / "wants" / "b", "1.1.0")
    run(tmp_path, "sync", "wants", "--mirror", "m", "--from", origin)
    return tmp_path / "m"


@pytest.fixture
def serving(mirror: Path, tmp_path: Path) -> Iterator[Serving]:
    with start(mirror, tmp_path) as running:
        yield running


@contextlib.contextmanager
def start(mirror: Path, tmp_path: Path) -> Iterator[Serving]:
    certificate = make_certificate(tmp_path)
    log = tmp_path / "serve.log"
    arguments = [
        COMMAND, "mirror", "serve", "--mirror", mirror, "--listen", "127.0.0.1:0",
        "--certificate", certificate.path, "--key", certificate.key,
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            arguments, cwd=tmp_path, env=environment(tmp_path), stderr=output, stdout=output
        )
    try:
        assert wait_until(lambda: b"\n" in log.read_bytes(), 60), log.read_text()
        line = log.read_text().splitlines()[0]
        assert line.startswith("{"), line
        yield Serving(json.loads(line)["url"], certificate, process, log)
    finally:
        process.terminate()
        process.wait(30)


def programs() -> list[str]:
    return [providers.require_terraform(), str(opentofu())]


class TestInit:
    """Machines that don't share the disk."""

    def test_without_and_with_a_lock_file(self, serving, mirror, tmp_path) -> None:
        h1 = package_hash(mirror / ONE.path)
        for number, program in enumerate(programs()):
            free = root(tmp_path / f"free-{number}")
            code = (free / "main.tf").read_text().replace('"driftfleet/demo"', f'"{ADDRESS}"')
            (free / "main.tf").write_text(code)
            serving.init(free, program)
            assert '"1.1.0"' in (free / ".terraform.lock.hcl").read_text()
            fixed = root(tmp_path / f"fixed-{number}", ">= 1.0", "1.0.0", h1)
            (fixed / "main.tf").write_text(code)
            serving.init(fixed, program)
            installed = fixed / ".terraform" / "providers" / ONE.path
            assert package_hash(installed) == h1
            assert next(installed.iterdir()).stat().st_mode & 0o100
        assert {one["status"] for one in serving.requests()} == {200}

    def test_a_lock_file_that_says_otherwise_is_obeyed(self, serving, tmp_path) -> None:
        wrong = root(tmp_path / "wrong", ">= 1.0", "1.0.0", "h1:" + "0" * 43 + "=")
        assert "checksums" in serving.init(wrong, expect=1).stderr
        # The archive is not the one that the registry has.
        foreign = root(tmp_path / "foreign", ">= 1.0", "1.0.0", "zh:" + "0" * 64)
        assert "checksums" in serving.init(foreign, expect=1).stderr

    def test_a_package_that_was_changed_is_refused_by_its_record(
        self, serving, mirror, tmp_path
    ) -> None:
        (program,) = (mirror / TWO.path).iterdir()
        program.chmod(0o755)
        program.write_bytes(program.read_bytes() + b"# changed\n")
        said = serving.init(root(tmp_path / "free"), expect=1).stderr
        assert "checksum" in said

    def test_ten_at_once_while_a_sync_brings_more(self, serving, mirror, tmp_path) -> None:
        origin = tmp_path / "origin"
        providers.build_mirror(origin, versions=("1.2.0",))
        root(tmp_path / "more", "1.2.0")
        with ThreadPoolExecutor(11) as pool:
            synced = pool.submit(
                run, tmp_path, "sync", "more", "--mirror", mirror, "--from", origin
            )
            roots = [root(tmp_path / f"r{number}", "< 1.2") for number in range(10)]
            done = list(pool.map(serving.init, roots))
            assert "1 added" in synced.result()
        assert len(done) == 10
        serving.init(root(tmp_path / "newest"))
        assert '"1.2.0"' in (tmp_path / "newest" / ".terraform.lock.hcl").read_text()
        assert all(one.problem == "" for one in verify(mirror))

    def test_a_package_that_was_removed_is_not_offered(self, serving, mirror, tmp_path) -> None:
        with staging(mirror) as folder:
            prune(mirror, folder, [TWO])
        serving.init(root(tmp_path / "free"))
        assert '"1.0.0"' in (tmp_path / "free" / ".terraform.lock.hcl").read_text()
        said = serving.init(root(tmp_path / "gone", "1.1.0"), expect=1).stderr
        assert "no available releases match" in said


def test_a_sync_from_it_brings_the_same_packages(serving, mirror, tmp_path) -> None:
    root(tmp_path / "roots" / "newest")
    root(tmp_path / "roots" / "locked", ">= 1.0", "1.0.0", package_hash(mirror / ONE.path))
    trusted = {"SSL_CERT_FILE": str(serving.certificate.path)}
    arguments = ("sync", "roots", "--mirror", "copy", "--from", serving.url)
    assert "2 added" in run(tmp_path, *arguments, **trusted)
    assert unpacked(tmp_path / "copy") == unpacked(mirror)
    assert [one.h1 for one in verify(tmp_path / "copy")] == [one.h1 for one in verify(mirror)]
    assert "0 added (0 bytes), 2 there" in run(tmp_path, *arguments, **trusted)


def test_a_line_of_the_log_holds_nothing_that_a_terminal_obeys(serving) -> None:
    port = int(serving.url.rstrip("/").rpartition(":")[2])
    client = ssl.create_default_context(cafile=serving.certificate.path)
    with client.wrap_socket(connect(port), server_hostname="127.0.0.1") as connection:
        connection.sendall(b"G\x1bT /\x1b[2J\x9b HTTP/1.1\r\n\r\n")
        assert received(connection).startswith(b"HTTP/1.1 405")
    assert wait_until(lambda: len(serving.requests()) == 1, 60)
    (line,) = serving.requests()
    assert (line["method"], line["path"]) == ("G\ufffdT", "/\ufffd[2J\ufffd")


@pytest.mark.parametrize(("signum", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_in_order(mirror, tmp_path, signum, code) -> None:
    with start(mirror, tmp_path) as running:
        port = int(running.url.rstrip("/").rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)):
            running.process.send_signal(signum)
            assert running.process.wait(60) == code
        assert running.log.read_text().splitlines()[-1] == "stopped"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "takes network mirrors over https only"),
        (("--certificate", "none.pem", "--key", "none.pem"), "none.pem: No such file"),
        (("--certificate", "key.pem", "--key", "ca.pem"), "no certificate with its key"),
        (("--insecure-http", "--certificate", "ca.pem"), "takes no certificate"),
        (("--insecure-http", "--listen", "8443"), "write HOST:PORT"),
        (("--insecure-http", "--listen", "192.0.2.1:8443"), "can't listen on 192.0.2.1:8443"),
    ],
)
def test_what_is_wrong_is_told_in_words(tmp_path, arguments, words) -> None:
    make_certificate(tmp_path)
    (tmp_path / "m").mkdir()
    assert words in run(tmp_path, "serve", "--mirror", "m", *arguments, expect=2)


def test_a_mirror_that_others_may_write_to_is_not_served(mirror, tmp_path) -> None:
    mirror.chmod(0o777)
    said = run(tmp_path, "serve", "--mirror", mirror, "--insecure-http", expect=2)
    assert "chmod -R go-w" in said


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Callable[..., int]]:
    """Serves a mirror of one large package within tight limits; returns the port."""
    package = tmp_path / "large" / ONE.path
    package.mkdir(parents=True)
    (package / "terraform-provider-demo_v1.0.0").write_bytes(os.urandom(1 << 20) * 32)
    running = []

    def serve(context: ssl.SSLContext | None = None, **limits: float) -> int:
        server = MirrorServer(tmp_path / "large", ("127.0.0.1", 0), context, ServerLimits(**limits))
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        running.append((server, thread))
        return server.server_address[1]

    yield serve
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.end()


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=60)


def ask(port: int, request: bytes) -> bytes:
    with connect(port) as connection:
        connection.sendall(request)
        return received(connection)


def received(connection: socket.socket) -> bytes:
    found = b""
    with contextlib.suppress(ConnectionError):
        while chunk := connection.recv(1 << 16):
            found += chunk
    return found


INDEX = f"GET /{ADDRESS}/index.json HTTP/1.1\r\nHost: x\r\n\r\n".encode()
ARCHIVE = f"GET /{ONE.archive} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


class TestBadClients:
    """What is slow, rude or hostile costs nobody else anything for long."""

    def test_slow_ones_are_closed_and_others_get_through(self, served) -> None:
        port = served(connections=8, head_seconds=1.0)
        stop = threading.Event()
        ended = []

        def drip() -> None:
            with connect(port) as connection, contextlib.suppress(OSError):
                while not stop.is_set():
                    connection.sendall(b"G")
                    # A byte at a time is within every time-out of a single read.
                    if stop.wait(0.1):
                        return
            ended.append(time.monotonic())

        with ThreadPoolExecutor(30) as pool:
            for _ in range(30):
                pool.submit(drip)
            time.sleep(0.3)
            began = time.monotonic()
            while b"200 OK" not in ask(port, INDEX):
                assert time.monotonic() - began < 60
            assert wait_until(lambda: len(ended) == 30, 60)
            stop.set()

    def test_one_that_never_begins_tls_holds_no_one_up(self, served, tmp_path) -> None:
        certificate = make_certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        port = served(context, head_seconds=5.0)
        client = ssl.create_default_context(cafile=certificate.path)
        with connect(port) as silent, connect(port) as plain:
            plain.sendall(INDEX)
            with client.wrap_socket(connect(port), server_hostname="127.0.0.1") as connection:
                connection.sendall(INDEX)
                assert b"200 OK" in received(connection)
            assert received(silent) == b""

    def test_one_that_reads_nothing_is_cut(self, served) -> None:
        port = served(connections=1, head_seconds=1.0, slowest_bytes_per_second=32 << 20)
        with connect(port) as connection:
            connection.sendall(ARCHIVE)
            # It has the one place there is.
            assert wait_until(lambda: b"200 OK" in ask(port, INDEX), 60)
            assert len(received(connection)) < 32 << 20

    def test_a_package_that_goes_while_it_is_sent_is_sent_short(self, served, tmp_path) -> None:
        port = served()
        with connect(port) as connection:
            connection.sendall(ARCHIVE)
            head = connection.recv(1024)
            (program,) = (tmp_path / "large" / ONE.path).iterdir()
            os.truncate(program, 1 << 20)
            shutil.rmtree(tmp_path / "large" / ADDRESS)
            (length,) = re.findall(rb"Content-Length: (\d+)", head)
            assert len(received(connection)) < int(length) - 1024
        assert b"404 Not Found" in ask(port, INDEX)

    @pytest.mark.parametrize("number", [0, 1])
    def test_an_init_that_gets_it_short_fails(self, served, tmp_path, number) -> None:
        certificate = make_certificate(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*certificate)
        (program,) = (tmp_path / "large" / ONE.path).iterdir()
        # Takes no disk, and longer than the seconds that the answer has.
        os.truncate(program, 3 << 30)
        port = served(context, head_seconds=2.0, slowest_bytes_per_second=1 << 40)
        serving = Serving(f"https://127.0.0.1:{port}/", certificate, None, tmp_path / "none")
        folder = root(tmp_path / "short")
        code = (folder / "main.tf").read_text().replace('"driftfleet/demo"', f'"{ADDRESS}"')
        (folder / "main.tf").write_text(code)
        said = serving.init(folder, programs()[number], expect=1).stderr
        assert "Error while installing" in " ".join(said.split()), said
        assert not (folder / ".terraform.lock.hcl").exists()

    @pytest.mark.parametrize(
        ("request_bytes", "status"),
        [
            (b"GET /../../etc/passwd HTTP/1.1\r\n\r\n", b"404"),
            (b"GET /%2e%2e/%2e%2e/etc/passwd HTTP/1.1\r\n\r\n", b"404"),
            (b"GET //etc/passwd HTTP/1.1\r\n\r\n", b"404"),
            (b"GET /\0\x1b[2J HTTP/1.1\r\n\r\n", b"404"),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 90 + b"\r\n", b"404"),
            (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", b"431"),
            (b"DELETE / HTTP/1.1\r\n\r\n", b"405"),
            (b"GET / HTTP/3.0\r\n\r\n", b"505"),
            (b"GET /\r\n\r\n", b"404"),
            (b"\xff\xfe\x00 GET\r\n\r\n", b"400"),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n", b"400"),
        ],
    )
    def test_what_is_no_request_of_ours_is_refused(self, served, request_bytes, status) -> None:
        port = served(head_seconds=5.0)
        with structlog.testing.capture_logs() as lines:
            said = ask(port, request_bytes)
        assert said.startswith(b"HTTP/1.1 " + status), said
        assert [line["event"] for line in lines] == ["mirror_request"]
        assert b"passwd" not in said
        assert b"root:" not in said
        assert b"200 OK" in ask(port, INDEX)

    def test_a_head_without_end_is_cut(self, served) -> None:
        port = served()
        with connect(port) as connection, contextlib.suppress(ConnectionError):
            for _ in range(1000):
                connection.sendall(b"X" * 65536)
            raise AssertionError("it reads on and on")
        assert b"200 OK" in ask(port, INDEX)
