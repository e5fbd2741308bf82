"""The commands against a GitHub server: what people see, the exit codes, and what is left."""

import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from driftfleet.model import decode_record
from driftfleet.repository_roots import RepositoryRoots
from driftfleet.results import Result, Verdict
from driftfleet.sweeps import SweepRecord
from producer.embedded import embedded_redis
from tests.conftest import require_program
from tests.e2e.command import COMMAND, run_command
from tests.standin import Fault, StandIn
from tests.standin.fixture import serving
from tests.workers import short_folder, users_of, wait_until

UNAPPLIED = 'resource "terraform_data" "this" {\n  input = "one"\n}\n'
CLEAN = 'module "names" {\n  source = "../modules/names"\n}\n'
MODULE = 'output "name" {\n  value = "x"\n}\n'
FILES = {
    "app/main.tf": UNAPPLIED,
    "net/main.tf": CLEAN,
    "modules/names/main.tf": MODULE,
    "src/big.py": "print()\n" * 1000,
}
WRONG = "ghp_wrong0000000000000000000000000000001"


@pytest.fixture(autouse=True)
def _needs_terraform() -> None:
    require_program("terraform", "install Terraform 1.11")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        standin.add_repository("acme/infra", FILES)
        standin.add_repository("acme/clean", {k: v for k, v in FILES.items() if k != "app/main.tf"})
        standin.add_repository("acme/empty")
        standin.add_repository("acme/old", FILES, archived=True)
        standin.add_repository("acme/former", {"net/main.tf": UNAPPLIED})
        standin.rename("acme/former", "acme/latter")
        yield standin


@pytest.fixture
def ghe(server: StandIn) -> StandIn:
    server.heal()
    server.clear()
    return server


@pytest.fixture
def temporary() -> Iterator[Path]:
    """The TMPDIR of the commands: all that they leave is in it."""
    with short_folder("g") as folder:
        yield folder


@pytest.fixture
def environment(ghe: StandIn, temporary: Path, tmp_path: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("DRIFTFLEET_")}
    return {
        **kept,
        "TMPDIR": str(temporary),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "DRIFTFLEET_GITHUB__URL": ghe.url,
        "DRIFTFLEET_GITHUB__TOKEN": "env://DRIFTFLEET_TOKEN",
        "DRIFTFLEET_TOKEN": ghe.token,
    }


Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str], temporary: Path) -> Run:
    def call(
        *arguments: str | Path, expect: int, **variables: str | None
    ) -> subprocess.CompletedProcess[str]:
        present = {k: v for k, v in {**environment, **variables}.items() if v is not None}
        done = run_command(arguments, tmp_path, present, expect)
        assert list(temporary.iterdir()) == []
        assert users_of(temporary) == []
        assert "ghp_" not in done.stdout + done.stderr
        return done

    return call


# Scan


def test_a_scan_of_a_repository_tells_keeps_and_leaves_what_a_scan_of_a_folder_does(
    run: Run, ghe: StandIn, tmp_path: Path
) -> None:
    done = run("scan", "acme/infra", expect=3)
    assert "2 checked in" in done.stdout
    assert ": 1 unapplied, 1 clean" in done.stdout
    assert done.stderr == ""
    store = tmp_path / "drift-results"
    (path,) = (store / "latest/acme/infra/app").iterdir()
    source = json.loads(path.read_text())["result"]["job"]["source"]
    assert source == {
        "kind": "github", "repo": "acme/infra", "ref": "", "sha": ghe.head("acme/infra"),
    }  # fmt: skip
    ghe.clear()
    run("scan", "acme/infra", expect=3)
    assert len(ghe.requests) == 1, "nothing has changed, and the worker has all it needs"


def test_folders_and_repositories_are_one_scan_and_told_apart(
    run: Run, ghe: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "local" / "here").mkdir(parents=True)
    (tmp_path / "local" / "here" / "main.tf").write_text(UNAPPLIED)
    done = run("scan", "--json", "local", "acme/clean@main", expect=3)
    results = [decode_record(Result, line) for line in done.stdout.splitlines()]
    assert {(r.job.source.kind, r.job.source.ref, r.job.root, r.verdict) for r in results} == {
        ("local", "", "here", Verdict.UNAPPLIED), ("github", "main", "net", Verdict.CLEAN),
    }  # fmt: skip


def test_one_repositorys_trouble_ends_no_other_and_is_exit_1_and_in_the_record(
    run: Run, tmp_path: Path
) -> None:
    done = run("scan", "acme/nope", "acme/clean", "acme/empty", "acme/former", expect=1)
    assert "acme/nope: there is no such repository on 127.0.0.1" in done.stderr
    assert "acme/empty: is empty" in done.stderr
    assert "acme/former: is now acme/latter" in done.stderr
    assert re.search(r"^clean +acme/clean: net", done.stdout, re.MULTILINE)
    assert re.search(r"^unapplied +acme/latter: net", done.stdout, re.MULTILINE)
    assert "Not looked at:\n  acme/nope: there is no such repository" in done.stdout
    assert "; 1 could not be looked at" in done.stdout
    (sweep,) = (tmp_path / "drift-results" / "sweeps").iterdir()
    record = decode_record(SweepRecord, sweep.read_bytes())
    assert len(record.problems) == 1
    assert record.closed_at is not None


def test_nothing_but_trouble_is_exit_1_and_has_a_record(run: Run, tmp_path: Path) -> None:
    done = run("scan", "acme/nope", "--json", expect=1)
    assert done.stdout == ""
    assert "acme/nope: there is no such repository" in done.stderr
    (sweep,) = (tmp_path / "drift-results" / "sweeps").iterdir()
    record = decode_record(SweepRecord, sweep.read_bytes())
    assert (record.source, record.asked) == ("acme/nope", ())


def test_nothing_to_check_is_exit_2_as_for_folders(run: Run) -> None:
    done = run("scan", "acme/empty", "acme/old", expect=2)
    assert "acme/old: is archived, and left out" in done.stderr
    assert "there is nothing to look at" in done.stderr


def test_a_wrong_token_ends_it_at_once_with_exit_2(run: Run, ghe: StandIn) -> None:
    refused = ghe.refused_credentials
    done = run("scan", "acme/infra", "acme/clean", expect=2, DRIFTFLEET_TOKEN=WRONG)
    assert "Error: " in done.stderr
    assert WRONG not in done.stderr
    assert ghe.refused_credentials == refused + 1


def test_an_absent_token_is_named_by_its_variable(run: Run) -> None:
    done = run("scan", "acme/infra", expect=2, DRIFTFLEET_GITHUB__TOKEN="env://NOT_THERE")
    assert "NOT_THERE" in done.stderr


def test_a_cache_that_cannot_be_written_costs_a_message_and_leaves_nothing(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    done = run("scan", "acme/clean", expect=0, XDG_CACHE_HOME=str(tmp_path / "file"))
    assert "kept for this command only; name another folder in cache.folder" in done.stderr


def test_what_fleet_yaml_lists_is_scanned_without_a_target(run: Run, tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text("repositories:\n  - acme/clean\n  - repo: acme/old\n")
    done = run("scan", expect=0)
    assert "1 checked in" in done.stdout
    assert "acme/old: is archived" in done.stderr


@pytest.mark.alone("of five seconds it works for most")
def test_ctrl_c_while_a_server_hangs_ends_all_at_once(
    ghe: StandIn, environment: dict[str, str], tmp_path: Path, temporary: Path
) -> None:
    ghe.fault("/commits/", Fault.delay(60), times=None)
    for arguments in (["scan", "acme/infra"], ["discover", "acme/infra"], ["doctor", "acme/infra"]):
        ghe.clear()
        command = subprocess.Popen(
            [COMMAND, *arguments], cwd=tmp_path, env=environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        assert wait_until(lambda: any("/repos/" in r.path for r in ghe.requests), 60)
        time.sleep(0.3)
        began = time.monotonic()
        command.send_signal(signal.SIGINT)
        _, stderr = command.communicate(timeout=60)
        assert time.monotonic() - began < 5
        assert command.returncode == 130
        assert "stopped" in stderr
        assert "Traceback" not in stderr
        assert list(temporary.iterdir()) == []


# Discover


def test_discover_shows_a_repository_and_where_it_is(run: Run, ghe: StandIn) -> None:
    done = run("discover", "acme/infra", expect=0)
    assert re.search(r"^root +app +declares", done.stdout, re.MULTILINE)
    assert "2 root modules; no roots: 1 child (--all shows them)" in done.stdout
    done = run("discover", "--json", "acme/infra", expect=0)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert {(r["source"], r["sha"], r["path"]) for r in records} == {
        ("acme/infra", ghe.head("acme/infra"), "app"),
        ("acme/infra", ghe.head("acme/infra"), "net"),
    }


def test_discover_of_several_names_each_and_trouble_is_exit_1(run: Run, ghe: StandIn) -> None:
    done = run("discover", "acme/infra", "acme/clean", "acme/nope", expect=1)
    assert f"acme/infra at {ghe.head('acme/infra')[:10]}:\n" in done.stdout
    assert "acme/nope: there is no such repository" in done.stderr


# Enqueue


@pytest.fixture
def broker(environment: dict[str, str], tmp_path: Path) -> Iterator[dict[str, str]]:
    with short_folder("q") as folder, embedded_redis(folder) as redis:
        yield {
            "DRIFTFLEET_BROKER__URL": redis.url,
            "DRIFTFLEET_RESULTS__STORE": f"file://{tmp_path}/store",
        }


@pytest.fixture
def worker(
    broker: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> Iterator[subprocess.Popen[bytes]]:
    with short_folder("v") as folder:
        variables = {
            **environment,
            **broker,
            "TMPDIR": str(folder),
            "DRIFTFLEET_WORKER__WRITABLE_ROOT": str(folder / "w"),
        }
        with (tmp_path / "worker.log").open("wb") as log:
            command = [COMMAND, "worker", "--concurrency", "2"]
            process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=log, stderr=log)
        yield process
        process.terminate()
        process.wait(60)


def test_enqueue_sends_a_sweep_a_repository_and_prints_them(
    run: Run, broker: dict[str, str], tmp_path: Path
) -> None:
    done = run("enqueue", "acme/infra", "acme/clean", "acme/nope", expect=1, **broker)
    lines = [line.split("  ") for line in done.stdout.splitlines()]
    assert [(line[1][:10], line[2]) for line in lines] == [
        ("acme/nope", "0 checks"), ("acme/infra", "2 checks"), ("acme/clean", "1 check"),
    ]  # fmt: skip
    for sweep_id, name, _ in lines:
        path = tmp_path / "store" / "sweeps" / f"{sweep_id}.json"
        record = decode_record(SweepRecord, path.read_bytes())
        assert record.source == name.split(" ")[0]
        assert (record.closed_at is not None) == bool(record.problems)
    done = run("enqueue", "acme/infra", "--root", "ap?", "--json", expect=0, **broker)
    record = decode_record(SweepRecord, done.stdout)
    assert record.asked == ("acme/infra app default",)


def test_enqueue_notes_which_roots_there_are_and_where_there_are_none_any_more(
    run: Run, ghe: StandIn, broker: dict[str, str], tmp_path: Path
) -> None:
    ghe.add_repository("leavers/infra", {"a/main.tf": UNAPPLIED, "README.md": "x"})
    run("enqueue", "leavers/infra", expect=0, **broker)
    path = tmp_path / "store" / "roots" / "leavers" / "infra.json"
    assert decode_record(RepositoryRoots, path.read_bytes()).places == ("leavers/infra/a/default",)
    ghe.commit("leavers/infra", {"b/main.tf": UNAPPLIED}, delete=["a/main.tf"])
    run("enqueue", "leavers/infra", "--root", "b", expect=0, **broker)
    assert decode_record(RepositoryRoots, path.read_bytes()).places == ("leavers/infra/a/default",)
    ghe.commit("leavers/infra", {}, delete=["b/main.tf"])
    run("enqueue", "leavers/infra", "acme/clean", expect=0, **broker)
    assert decode_record(RepositoryRoots, path.read_bytes()).places == ()


def test_enqueue_wait_follows_to_the_end_as_a_scan_is_shown(
    run: Run, broker: dict[str, str], worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    done = run("enqueue", "acme/infra", "acme/clean", "--wait", expect=3, **broker)
    assert re.search(r"^unapplied +acme/infra: app", done.stdout, re.MULTILINE)
    assert "3 checked in" in done.stdout
    assert len(done.stderr.splitlines()) == 2
    for path in (tmp_path / "store" / "sweeps").iterdir():
        record = decode_record(SweepRecord, path.read_bytes())
        assert record.closed_at is not None
        assert record.missing == ()
    done = run("enqueue", "acme/clean", "--wait", "--json", expect=0, **broker)
    (line,) = done.stdout.splitlines()
    assert decode_record(Result, line).verdict is Verdict.CLEAN


def test_ctrl_c_stops_the_watching_alone(
    broker: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    command = subprocess.Popen(
        [COMMAND, "enqueue", "acme/infra", "--wait"], cwd=tmp_path, env={**environment, **broker},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    sweeps = tmp_path / "store" / "sweeps"
    assert wait_until(lambda: sweeps.is_dir() and bool(list(sweeps.glob("*.json"))), 60)
    time.sleep(1)
    command.send_signal(signal.SIGINT)
    _, stderr = command.communicate(timeout=60)
    assert command.returncode == 130
    assert "stopped watching: 2 of 2 are not answered yet; the workers go on:" in stderr
    (path,) = sweeps.glob("*.json")
    assert path.stem in stderr
    assert decode_record(SweepRecord, path.read_bytes()).closed_at is None


@pytest.mark.parametrize(
    ("arguments", "variables", "message"),
    [
        (["acme/infra"], {"DRIFTFLEET_BROKER__URL": None}, "DRIFTFLEET_BROKER__URL"),
        (["."], {}, "workers elsewhere don't have"),
        ([], {}, "no repository named"),
        (["acme/infra", "--root", "nope/**"], {}, "no root module matches --root nope/**"),
    ],
)
def test_enqueue_explains_mistakes(
    run: Run,
    broker: dict[str, str],
    arguments: list[str],
    variables: dict[str, str | None],
    message: str,
) -> None:
    done = run("enqueue", *arguments, expect=2, **{**broker, **variables})
    assert message in done.stderr
    assert done.stdout == ""


def test_a_redis_that_is_not_there_is_said_before_anything_is_asked(run: Run, ghe: StandIn) -> None:
    done = run("enqueue", "acme/infra", expect=1, DRIFTFLEET_BROKER__URL="redis://127.0.0.1:1/0")
    assert "Redis did not answer" in done.stderr
    assert ghe.requests == []


# Doctor


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, str]]:
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return {record["what"]: record for record in records}


def test_a_doctor_that_finds_nothing_wrong_says_so_line_by_line(run: Run, ghe: StandIn) -> None:
    done = run("doctor", "acme/infra", "org:acme", expect=0)
    lines = done.stdout.splitlines()
    assert all(re.match(r"(ok|skip|warn)  ", line) for line in lines if not line.startswith(" "))
    found = findings(run("doctor", "--json", "acme/infra", "org:acme", expect=0))
    assert found["version"]["finding"] == "GitHub Enterprise Server 3.19.2"
    assert found["rate limit"]["finding"] == "is off"
    assert "driftfleet-bot" in found["token"]["finding"]
    assert ghe.head("acme/infra")[:10] in found["acme/infra"]["finding"]
    assert "5 repositories, 1 of them archived" in found["org:acme"]["finding"]


def test_a_doctor_tells_what_is_wrong_and_how_to_mend_it(run: Run, ghe: StandIn) -> None:
    done = run("doctor", "acme/nope", "acme/empty", "acme/former", "acme/old", "--json", expect=1)
    found = findings(done)
    assert {name: found[name]["level"] for name in found if name.startswith("acme/")} == {
        "acme/nope": "fail", "acme/empty": "warn", "acme/former": "warn", "acme/old": "warn",
    }  # fmt: skip
    assert found["acme/nope"]["mend"]


def test_a_doctor_stops_at_the_first_401(run: Run, ghe: StandIn) -> None:
    refused = ghe.refused_credentials
    done = run("doctor", "acme/infra", "org:acme", "--json", expect=1, DRIFTFLEET_TOKEN=WRONG)
    found = findings(done)
    assert found["token"]["level"] == "fail"
    assert "acme/infra" not in found
    assert ghe.refused_credentials == refused + 1


@pytest.mark.parametrize(
    ("variables", "what", "words"),
    [
        ({"DRIFTFLEET_GITHUB__URL": "http://127.0.0.1:1"}, "host", "refused"),
        ({"DRIFTFLEET_GITHUB__URL": "https://ghe.invalid"}, "host", "GET /meta"),
        ({"DRIFTFLEET_GITHUB__URL": "http://ghe.example.com"}, "github", "https://"),
        ({"DRIFTFLEET_GITHUB__TOKEN": "env://NOT_THERE"}, "secret", "NOT_THERE"),
        ({"DRIFTFLEET_BROKER__URL": "redis://127.0.0.1:1/0"}, "broker", "did not answer"),
        ({"DRIFTFLEET_WORKER__TERRAFORM": "no-terraform"}, "terraform", "no program"),
        ({"DRIFTFLEET_RESULTS__STORE": "gopher://x"}, "results", "gopher"),
        ({"DRIFTFLEET_LIMITS__TIMEOUT_SECONDS": "x"}, "settings", "timeout_seconds"),
    ],
)
def test_a_doctor_names_each_kind_of_failure(
    run: Run, variables: dict[str, str], what: str, words: str
) -> None:
    found = findings(run("doctor", "--json", expect=1, **variables))
    assert found[what]["level"] == "fail"
    assert words in found[what]["finding"]
    assert found[what]["mend"]


def test_a_doctor_without_a_github_checks_the_machine(run: Run) -> None:
    done = run(
        "doctor", "--json", expect=0, DRIFTFLEET_GITHUB__URL=None, DRIFTFLEET_GITHUB__TOKEN=None
    )
    assert findings(done)["github"]["level"] == "skip"


def test_a_doctor_whose_token_or_target_is_none_still_checks_the_rest(
    run: Run, ghe: StandIn, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text(f"{ghe.token}\n{ghe.token}\n")
    place = f"file://{tmp_path}/token"
    done = run("doctor", "nowhere", "--json", expect=1, DRIFTFLEET_GITHUB__TOKEN=place)
    found = findings(done)
    assert found["secret"]["level"] == found["nowhere"]["level"] == "fail"
    assert "the GitHub token can't be one" in found["secret"]["finding"]
    assert found["host"]["level"] == "ok"
    (tmp_path / "token").write_bytes(f"\ufeff{ghe.token}\r\n".encode())
    run("doctor", expect=0, DRIFTFLEET_GITHUB__TOKEN=place)


def test_a_doctor_says_that_no_installation_of_an_app_is_there(
    run: Run, ghe: StandIn, tmp_path: Path
) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(pem)
    ghe.fault("/access_tokens", Fault.json({"message": "Not Found"}, 404), times=None)
    app = f"{{id: 1, installation: 2, private_key: 'file://{tmp_path}/key.pem'}}"
    done = run(
        "doctor", "acme/infra", "--json", expect=1, DRIFTFLEET_GITHUB__TOKEN=None,
        DRIFTFLEET_GITHUB__APP=app,
    )  # fmt: skip
    found = findings(done)
    assert found["token"]["level"] == "fail"
    assert "installation 2 of GitHub App 1" in found["token"]["finding"]
    assert "github.app.installation" in found["token"]["mend"]


def test_a_doctor_without_a_token_where_one_is_wanted_says_that_it_is_not_set(
    run: Run, ghe: StandIn
) -> None:
    done = run("doctor", "acme/infra", expect=1, DRIFTFLEET_GITHUB__TOKEN=None)
    text = " ".join(done.stdout.split())
    assert "github.token is not set" in text
    assert "None" not in text
    assert "these credentials" not in text
    assert len([line for line in done.stdout.splitlines() if "token  " in line]) <= 1


def test_a_server_in_trouble_gets_no_advice_on_names_and_rights(run: Run, ghe: StandIn) -> None:
    ghe.fault("/meta", Fault.answer(503), times=None)
    found = findings(run("doctor", "--json", expect=1))
    assert "503" in found["host"]["finding"]
    assert "resolves" not in found["host"]["mend"]


def test_a_worker_without_its_token_names_the_setting_and_its_place(
    run: Run, broker: dict[str, str], environment: dict[str, str], tmp_path: Path
) -> None:
    with short_folder("v") as folder:
        variables = {
            **{k: v for k, v in environment.items() if k != "DRIFTFLEET_TOKEN"},
            **broker,
            "DRIFTFLEET_GITHUB__TOKEN": "env://GITHUB_TOKEN_OF_NOBODY",
            "TMPDIR": str(folder),
            "DRIFTFLEET_WORKER__WRITABLE_ROOT": str(folder / "w"),
        }
        with (tmp_path / "worker.log").open("wb") as log:
            command = [COMMAND, "worker", "--concurrency", "1"]
            process = subprocess.Popen(command, cwd=tmp_path, env=variables, stdout=log, stderr=log)
        try:
            done = run("enqueue", "acme/clean", "--wait", "--json", expect=1, **broker)
        finally:
            process.terminate()
            process.wait(60)
    error = decode_record(Result, done.stdout).error
    assert error is not None
    assert "github.token is kept in env://GITHUB_TOKEN_OF_NOBODY" in error.message
    assert "***" not in error.message


def test_results_in_another_place_than_the_workers_are_said_to_be(
    run: Run, broker: dict[str, str], worker: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    elsewhere = {**broker, "DRIFTFLEET_RESULTS__STORE": f"file://{tmp_path}/another"}
    done = run("enqueue", "acme/clean", "--wait", expect=1, **elsewhere)
    assert "same results.store" in " ".join(done.stdout.split())
    assert f"{tmp_path}/another" in done.stdout
    assert "internal" not in done.stdout
