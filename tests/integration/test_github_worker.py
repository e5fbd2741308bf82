"""Real workers check roots of a GitHub server: verdicts, secrets, deaths, limits."""

import contextlib
import hashlib
import os
import secrets
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest
from pydantic import SecretStr

from driftfleet.jobs import Job, Source
from driftfleet.ledger import Ask, MemoryLedger
from driftfleet.metrics import Meter
from driftfleet.results import Result, Verdict
from driftfleet.settings import (
    BrokerSettings,
    GitHubSettings,
    LogSettings,
    ResultSettings,
    Settings,
    WorkerSettings,
)
from driftfleet.store import open_store
from producer.embedded import embedded_redis
from tests import providers
from tests.conftest import require_program
from tests.installers import Program, renamed_terraform
from tests.standin import Fault, StandIn
from tests.workers import Fleet, short_folder, wait_until
from worker.answering import attend
from worker.check import check
from worker.desk import Desk
from worker.drain import Drain
from worker.github_connection import connection_of
from worker.retries import FAILURES
from worker.room import Room
from worker.toolbox import build_tools

BUILTIN = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
NO_CHANGE = 'locals {\n  nothing = "to do"\n}\n'


@pytest.fixture
def token(ghe: StandIn) -> str:
    """A token that stands nowhere else on this machine."""
    ghe.rotate(f"ghp_{secrets.token_hex(18)}")
    return ghe.token


@pytest.fixture
def place() -> Iterator[Path]:
    with short_folder("g") as folder:
        yield folder


@pytest.fixture
def fleet(ghe: StandIn, token: str, place: Path, tmp_path: Path, mirror: Path) -> Iterator[Fleet]:
    with short_folder("r") as redis_folder, embedded_redis(redis_folder) as redis:
        settings = settings_for(ghe, place, mirror, redis.url)
        fleet = Fleet(settings, tmp_path, tmp_path / "worker.log", redis_folder)
        fleet.environment = {"THE_TOKEN": token}
        try:
            yield fleet
        finally:
            fleet.stop()
    # The workspaces are gone; what is left is the cache.
    writable = settings.worker.writable_root
    assert {path.name for path in writable.iterdir()} <= {"cache"}


def settings_for(ghe: StandIn, place: Path, mirror: Path, redis_url: str) -> Settings:
    (place / "w").mkdir()
    return Settings(
        broker=BrokerSettings(url=SecretStr(redis_url), visibility_timeout_seconds=10),
        results=ResultSettings(store=f"file://{place / 'results'}"),
        github=GitHubSettings(url=ghe.url, token="env://THE_TOKEN", worker_patience_seconds=1),
        logs=LogSettings(level="debug"),
        worker=WorkerSettings(
            concurrency=2,
            writable_root=place / "w",
            mirror=mirror,
            stop_grace_seconds=1,
            drain_seconds=5,
        ),
    )


def with_settings(fleet: Fleet, section: str, **values: Any) -> None:
    changed = getattr(fleet.settings, section).model_copy(update=values)
    fleet.settings = fleet.settings.model_copy(update={section: changed})


def files_of(folder: Path, prefix: str) -> dict[str, bytes]:
    return {
        f"{prefix}/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def result_of(fleet: Fleet, job: Job, sweep_id: str = "sweep") -> Result:
    """The result of a job that was answered."""
    answers = {answer.check: answer for answer in fleet.ledger.answers(sweep_id)}
    return fleet.result(answers[job.identity])


def error_kind(result: Result) -> str | None:
    return result.error.kind.value if result.error else None


def test_roots_of_a_repository_are_judged_as_those_of_a_checkout_would_be(
    ghe: StandIn, fleet: Fleet, mirror: Path, tmp_path: Path
) -> None:
    files: dict[str, Any] = {"unapplied/main.tf": BUILTIN, "still/main.tf": NO_CHANGE}
    for name in ("clean", "drifted"):
        root = providers.write_root(
            tmp_path / name, providers.file_root(tmp_path / f"world-{name}", "one")
        )
        providers.apply(root, mirror)
        files |= files_of(root, name)
    (tmp_path / "world-drifted").write_text("two")
    files |= {
        "stacks/s/main.tf": 'module "m" {\n  source = "../../modules/m"\n}\n',
        "modules/m/main.tf": BUILTIN
        + 'output "x" {\n  value = file("${path.module}/../../shared/x")\n}\n',
        "shared/x": "x",
        "broken/main.tf": 'module "m" {\n  source = "../nowhere"\n}\n',
    }
    source = served(ghe, "payments/infra", files)
    expected = {
        "clean": Verdict.CLEAN, "drifted": Verdict.DRIFTED, "unapplied": Verdict.UNAPPLIED,
        "still": Verdict.CLEAN, "stacks/s": Verdict.UNAPPLIED, "broken": Verdict.ERROR,
        "gone": Verdict.ERROR,
    }  # fmt: skip
    jobs = {root: fleet.job(root, source=source) for root in expected}
    fleet.send(list(jobs.values()))
    fleet.start_worker()
    fleet.wait(len(jobs), 150)
    results = {root: result_of(fleet, job) for root, job in jobs.items()}
    assert {root: result.verdict for root, result in results.items()} == expected
    assert error_kind(results["broken"]) == "module_fetch"
    assert error_kind(results["gone"]) == "source_missing"
    assert [(c.address, c.kind) for c in results["drifted"].changes] == [
        ("demo_file.this", "drift")
    ]


def served(ghe: StandIn, repo: str, files: Mapping[str, Any]) -> Source:
    return Source(kind="github", repo=repo, ref="main", sha=ghe.add_repository(repo, files))


@pytest.mark.parametrize("kept", ["in a variable", "in a file"])
def test_private_modules_work_and_the_token_is_nowhere(
    ghe: StandIn, fleet: Fleet, token: str, place: Path, mirror: Path, tmp_path: Path, kept: str
) -> None:
    require_program("git", "install git")
    dump = place / "environ"
    with_settings(fleet, "worker", mirror=dumping_mirror(tmp_path / "dumping", dump))
    if kept == "in a file":
        (tmp_path / "secret").write_text(token)
        with_settings(fleet, "github", token=f"file://{tmp_path / 'secret'}")
        fleet.environment = {}
    else:
        # A name that the usual allow-list lets through.
        with_settings(fleet, "github", token="env://AWS_THE_TOKEN")
        fleet.environment = {"AWS_THE_TOKEN": token, "AWS_REGION": "eu-west-1"}
    homes = {"HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
    for folder in homes.values():
        Path(folder).mkdir()
    fleet.environment = {**fleet.environment, **homes}

    host = urlsplit(ghe.url).hostname
    ghe.add_repository("payments/modules", {"vpc/main.tf": NO_CHANGE})
    calls = f'module "m" {{\n  source = "git::ssh://git@{host}/payments/modules.git//vpc"\n}}\n'
    source = served(
        ghe,
        "payments/infra",
        {
            "root/main.tf": calls + providers.fault_root("slow", seconds=3),
            "denied/main.tf": calls.replace("payments/modules", "payments/none"),
        },
    )
    # So that init lasts for as long as whoever looks for it needs.
    ghe.fault(r"modules\.git", Fault.delay(1), times=None)
    started = time.time()
    jobs = [fleet.job(root, source=source) for root in ("root", "denied")]
    with searching(fleet, token, place) as found:
        fleet.send(jobs)
        fleet.start_worker()
        fleet.wait(2, 150)
        fleet.stop()
    root, denied = (result_of(fleet, job) for job in jobs)
    assert root.verdict is not Verdict.ERROR, root
    assert error_kind(denied) == "module_fetch"
    # It was used: by the client, and by git.
    assert {r.token for r in ghe.requests if r.status == 200} == {token}
    assert [r for r in ghe.requests if "payments/modules.git" in r.path and r.status == 200]

    assert found.where == []
    assert found.looked["arguments of init"] > 0
    assert found.looked["files"] > 100
    assert token not in fleet.log.read_text()
    assert [one for new in made_since(started, tmp_path) for one in holders(new, token)] == []

    seen = dict(line.split("=", 1) for line in dump.read_text().splitlines() if "=" in line)
    assert token not in dump.read_text()
    assert seen.get("AWS_REGION") == fleet.environment.get("AWS_REGION")
    assert not [name for name in seen if name.startswith(("GIT_", "DRIFTFLEET_"))]
    assert "AWS_THE_TOKEN" not in seen


def dumping_mirror(folder: Path, dump: Path) -> Path:
    """A mirror whose provider writes down the environment that it was started with."""
    providers.build_mirror(folder)
    (script,) = folder.rglob("terraform-provider-demo*")
    shebang, rest = script.read_text().split("\n", 1)
    script.write_text(f"{shebang}\n/usr/bin/env >> {dump}\n{rest}")
    return folder


class Search:
    """Looks for a text wherever processes leave something, again and again while they run."""

    def __init__(self, fleet: Fleet, text: str, place: Path) -> None:
        self.where: list[str] = []
        self.looked = Counter[str]()
        self._fleet = fleet
        self._text = text
        self._place = place

    def look(self) -> None:
        self._look_at_processes()
        self.where += holders(self._place, self._text)
        # Not rglob: it raises where a folder is removed meanwhile.
        self.looked["files"] += sum(len(names) for _, _, names in os.walk(self._place))
        for key in self._fleet.redis.scan_iter():
            with contextlib.suppress(Exception):
                if self._text.encode() in (self._fleet.redis.dump(key) or b""):
                    self.where.append(f"redis: {key!r}")

    def _look_at_processes(self) -> None:
        for process in self._fleet.processes():
            with contextlib.suppress(psutil.Error, OSError):
                arguments = process.cmdline()
                if "init" in arguments or any("git" in a for a in arguments[:1]):
                    self.looked["arguments of init"] += 1
                if self._text in " ".join(arguments):
                    self.where.append(f"arguments: {arguments}")
                # The worker and its pool have it where it is kept in a variable of theirs.
                is_pool = any("celery" in argument for argument in arguments)
                if not is_pool and self._text in str(process.environ()):
                    self.where.append(f"environment: {arguments}")


@contextlib.contextmanager
def searching(fleet: Fleet, text: str, place: Path) -> Iterator[Search]:
    search, ended = Search(fleet, text, place), threading.Event()

    def run() -> None:
        while not ended.wait(0.01):
            search.look()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield search
    finally:
        ended.set()
        thread.join()
        search.look()


def made_since(then: float, own: Path) -> list[Path]:
    """What was made in the system's temporary folder since, by whoever does not keep to its own.

    What other tests have there, maybe a fleet's hundred thousand results, is left out.
    """
    found = []
    for path in Path("/tmp").iterdir():
        with contextlib.suppress(OSError):
            others = path.name.startswith("df-") or own.is_relative_to(path)
            # Files have the time of a clock that is some milliseconds behind.
            is_new = path.lstat().st_mtime >= then - 1
            found += [path] if is_new and not others else []
    return found


def holders(place: Path, text: str) -> list[str]:
    """The files at or below ``place`` that hold ``text``; packed ones are not looked into."""
    found = []
    below = (Path(top, name) for top, _, names in os.walk(place) for name in names)
    for path in (place, *below):
        with contextlib.suppress(OSError):
            regular = path.is_file() and not path.is_symlink()
            if regular and path.lstat().st_size < 50_000_000:
                if text.encode() in path.read_bytes():
                    found.append(str(path))
    return found


@pytest.mark.parametrize("archive", [False, True])
def test_a_result_tells_how_often_its_check_asked_github(
    ghe: StandIn, place: Path, mirror: Path, archive: bool
) -> None:
    source = served(ghe, "payments/infra", {"root/main.tf": NO_CHANGE, "root/a.tf": ""})
    settings = settings_for(ghe, place, mirror, "redis://unused")
    if archive:
        cache = settings.cache.model_copy(update={"blobs_at_most": 0, "small_share": 0})
        settings = settings.model_copy(update={"cache": cache})
    connection = connection_of(settings, {"THE_TOKEN": ghe.token})
    tools = build_tools(settings, {"PATH": os.environ["PATH"]}, connection)
    asked = []
    for sweep in ("first", "second"):
        ghe.clear()
        result = check(Job(sweep_id=sweep, source=source, root="root"), tools, lambda _: None)
        assert result.verdict is Verdict.CLEAN, result
        assert result.cost.api_calls == len(ghe.requests)
        asked.append(result.cost.api_calls)
    tools.programs.close()
    connection.close()
    assert asked[0] > 1
    assert asked[1] == 0, "all is in the cache"


class TestDeaths:
    """`kill -9`: another worker answers, with the right bytes."""

    def test_in_the_middle_of_a_fetch(self, ghe: StandIn, fleet: Fleet) -> None:
        data = secrets.token_bytes(200_000)
        files = {"root/data": data, "root/main.tf": checking("data", data)}
        source = served(ghe, "payments/infra", files)
        rule = ghe.fault("/git/blobs/", Fault.slow_body(0.05, 1000), times=None)
        job = fleet.job("root", source=source)
        fleet.send([job])
        worker = fleet.start_worker()
        assert wait_until(lambda: rule.seen > 1, 60)
        time.sleep(0.5)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
        ghe.heal()
        fleet.start_worker()
        fleet.wait(1, 150)
        assert result_of(fleet, job).verdict is Verdict.UNAPPLIED, result_of(fleet, job)


def checking(name: str, data: bytes) -> str:
    """A root whose plan fails where a file's bytes aren't these."""
    digest = hashlib.sha256(data).hexdigest()
    return (
        f'output "x" {{\n  value = "x"\n  precondition {{\n'
        f'    condition     = filesha256("${{path.module}}/{name}") == "{digest}"\n'
        '    error_message = "wrong bytes"\n  }\n}\n'
    )


def test_pool_children_that_want_the_same_at_once_fetch_it_once(ghe: StandIn, fleet: Fleet) -> None:
    files: dict[str, Any] = {
        f"roots/{n}/main.tf": 'module "m" {\n  source = "../../m"\n}\n' for n in range(6)
    }
    files |= {f"m/{n}.tf": f"# {n}\n" for n in range(20)} | {"m/x.tpl": "x"}
    source = served(ghe, "payments/infra", files)
    # Slow enough that both are at it at the same time.
    ghe.fault("/git/", Fault.delay(0.2), times=None)
    jobs = [fleet.job(f"roots/{n}", source=source) for n in range(6)]
    fleet.start_worker()
    fleet.send(jobs)
    fleet.wait(6, 150)
    assert {result_of(fleet, job).verdict for job in jobs} == {Verdict.CLEAN}
    asked = Counter(request.path for request in ghe.requests)
    assert [path for path, times in asked.items() if times > 1] == []
    # The six roots' files are one blob.
    assert len(asked) == 1 + 1 + 20 + 1


class TestTrouble:
    """A server in trouble: other jobs go on meanwhile, and later it is tried again."""

    def test_a_job_that_waits_for_github_takes_no_slot(self, ghe: StandIn, fleet: Fleet) -> None:
        with_settings(fleet, "worker", concurrency=1, local_roots=(fleet.repository,))
        providers.write_root(fleet.repository / "local", NO_CHANGE)
        source = served(ghe, "payments/infra", {"root/main.tf": NO_CHANGE})
        ghe.fault("/git/trees/", Fault.server_error(503, 3), times=1)
        waiting, other = fleet.job("root", source=source), fleet.job("local")
        fleet.send([waiting, other])
        fleet.start_worker()
        fleet.wait(2, 150)
        order = [answer.check for answer in fleet.ledger.answers("sweep")]
        assert order == [other.identity, waiting.identity]
        assert result_of(fleet, waiting).verdict is Verdict.CLEAN
        assert "check_tried_again" in fleet.log.read_text()

    @pytest.mark.parametrize(
        ("fault", "kind"),
        [
            (Fault.server_error(502), "source_unreachable"),
            (Fault.secondary_limit(3000), "source_unreachable"),
            (Fault.drop(), "source_unreachable"),
            (Fault.bad_credentials(), "credentials"),
            (Fault.login_page(), "source_refused"),
        ],
        ids=lambda value: getattr(value, "name", value),
    )
    def test_what_lasts_is_answered_with_its_kind(
        self, ghe: StandIn, place: Path, mirror: Path, fault: Fault, kind: str
    ) -> None:
        source = served(ghe, "payments/infra", {"root/main.tf": NO_CHANGE})
        ghe.fault("/git/", fault, times=None)
        settings = settings_for(ghe, place, mirror, "redis://unused")
        error = last_try(settings, {"THE_TOKEN": ghe.token}, source).error
        assert error is not None
        assert (error.phase, error.kind.value) == ("source", kind)
        assert error.transient == (kind == "source_unreachable")
        assert ghe.host in error.message
        assert ghe.token not in error.message

    def test_a_secret_that_cannot_be_had_now_is_no_answer_either(
        self, ghe: StandIn, place: Path, mirror: Path
    ) -> None:
        source = served(ghe, "payments/infra", {"root/main.tf": NO_CHANGE})
        settings = settings_for(ghe, place, mirror, "redis://unused")
        github = settings.github.model_copy(update={"token": "secretsmanager://driftfleet#token"})
        nobody = {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "y",
        }  # fmt: skip
        error = last_try(settings.model_copy(update={"github": github}), nobody, source).error
        assert error is not None
        assert error.kind.value == "source_unreachable"

    def test_a_token_refused_to_git_is_said_to_be_and_its_successor_is_used(
        self, ghe: StandIn, place: Path, mirror: Path, tmp_path: Path
    ) -> None:
        host = urlsplit(ghe.url).hostname
        ghe.add_repository("payments/modules", {"main.tf": NO_CHANGE})
        call = f'module "m" {{\n  source = "git@{host}:payments/modules.git"\n}}\n'
        source = served(ghe, "payments/infra", {"root/main.tf": call})
        settings = settings_for(ghe, place, mirror, "redis://unused")
        kept = tmp_path / "token"
        github = settings.github.model_copy(update={"token": f"file://{kept}"})
        connection = connection_of(settings.model_copy(update={"github": github}), {})
        tools = build_tools(settings, {"PATH": os.environ["PATH"]}, connection)

        def judged(root: str) -> Result:
            job = Job(sweep_id=secrets.token_hex(4), source=source, root=root)
            return check(job, tools, lambda phase: None)

        kept.write_text(ghe.token)
        assert judged("root").verdict is Verdict.CLEAN
        # What the commit holds is in the cache: git alone asks.
        ghe.rotate(f"ghp_{secrets.token_hex(18)}")
        error = judged("root").error
        assert error is not None
        assert (error.phase, error.kind.value) == ("init", "credentials")
        kept.write_text(ghe.token)
        assert judged("root").verdict is Verdict.CLEAN
        tools.programs.close()

    def test_a_worker_without_github_says_which_setting_it_lacks(
        self, ghe: StandIn, place: Path, mirror: Path
    ) -> None:
        source = served(ghe, "payments/infra", {"root/main.tf": NO_CHANGE})
        settings = settings_for(ghe, place, mirror, "redis://unused")
        error = last_try(settings.model_copy(update={"github": GitHubSettings()}), {}, source).error
        assert error is not None
        assert (error.kind.value, "github.url" in error.message) == ("job_refused", True)


def last_try(settings: Settings, environment: Mapping[str, str], source: Source) -> Result:
    """What a worker answers when it has tried as often as it does."""
    connection = connection_of(settings, environment)
    tools = build_tools(settings, {"PATH": os.environ["PATH"], **environment}, connection)
    ledger = MemoryLedger()
    desk = Desk(
        tools=tools,
        store=open_store(settings.results),
        ledger=ledger,
        drain=Drain(settings.worker.drain_seconds),
        caps=settings.caps,
        attempts=settings.worker.attempts,
        room=Room(settings.worker),
        meter=Meter(),
    )
    most = max(policy.attempts or 0 for policy in FAILURES.values())
    job = Job(sweep_id="s", source=source, root="root", attempt=most)
    ledger.open("s", [Ask.of(job)])
    attend(desk, job, 0.0, again=False)
    tools.programs.close()
    if connection is not None:
        connection.close()
    (answer,) = ledger.answers("s")
    result = desk.store.get(answer.key)
    assert result is not None
    return result


@pytest.mark.parametrize("isolation", ["none", "bubblewrap"])
def test_private_modules_that_refuse_a_version_are_fetched_again_with_another(
    ghe: StandIn, fleet: Fleet, tmp_path: Path, isolation: str
) -> None:
    if isolation == "bubblewrap":
        require_program("bwrap", "apt-get install bubblewrap")
    with_settings(fleet, "worker", isolation=isolation)
    binary, version = renamed_terraform(tmp_path)
    code = f"import shutil\nshutil.copy({str(binary)!r}, place)"
    installer = Program(tmp_path / "bin", code=code, listing=f"print('{version}')")
    with_settings(fleet, "installs", installer="tfenv", folder=tmp_path / "installs")
    fleet.environment = {**fleet.environment, "DRIFTFLEET_TFENV": str(installer.path)}
    host = urlsplit(ghe.url).hostname
    wants = f'terraform {{\n  required_version = "= {version}"\n}}\n'
    ghe.add_repository("payments/modules", {"vpc/main.tf": NO_CHANGE + wants})
    calls = f'module "m" {{\n  source = "git::ssh://git@{host}/payments/modules.git//vpc"\n}}\n'
    job = fleet.job("root", source=served(ghe, "payments/infra", {"root/main.tf": calls}))
    fleet.send([job])
    fleet.start_worker()
    fleet.wait(1, 150)
    result = result_of(fleet, job)
    assert (result.verdict, result.error) == (Verdict.CLEAN, None)
    assert result.versions.terraform == version
    log = fleet.log.read_text()
    assert "modules_refuse_version" in log
    # Its mirror was good: nothing was wrong with what was fetched.
    assert "module_mirrors_failed" not in log
