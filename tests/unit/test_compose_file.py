"""What Dockerfile, docker-compose.yml and deploy/compose say, where no engine has to be asked."""

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
import yaml

TOP = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((TOP / "docker-compose.yml").read_text())["services"]


def _mounts(service: str) -> dict[str, tuple[str, bool]]:
    """By the place in the container: the volume or file, and whether it can be written to."""
    parts = [one.rsplit(":", 2) for one in SERVICES[service]["volumes"] if isinstance(one, str)]
    return {
        (part[-2] if part[-1] == "ro" else part[-1]): (part[0], part[-1] != "ro") for part in parts
    }


def test_the_mirror_is_not_a_mount_itself_since_a_sync_works_beside_it() -> None:
    for service in ("producer", "worker"):
        mirror = PurePosixPath(SERVICES[service]["environment"]["DRIFTFLEET_WORKER__MIRROR"])
        mounts = _mounts(service)
        assert str(mirror) not in mounts
        assert mounts[str(mirror.parent)] == ("providers", service == "producer")
        assert f"mkdir {mirror}" in SERVICES["volumes"]["command"][0]


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A clone of somebody whose files nobody else may read, after `make up` has made the rest."""
    shutil.copytree(TOP / "deploy" / "compose", tmp_path / "deploy" / "compose")
    for path in (tmp_path / "deploy").rglob("*"):
        path.chmod(path.stat().st_mode & 0o700)
    script = tmp_path / "deploy" / "compose" / "prepare.sh"
    subprocess.run(["sh", "-c", f"umask 077; {script}"], check=True, capture_output=True)
    return tmp_path


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_can_be_written_by_their_owner_and_read_by_the_containers_user(
    prepared: Path,
) -> None:
    assert _mode(prepared / "secrets") == 0o700
    names = {path.name: _mode(path) for path in (prepared / "secrets").iterdir()}
    assert names == dict.fromkeys(
        ("redis_password", "flower_password", "github_token", "aws_credentials"), 0o644
    )


def test_what_is_mounted_can_be_read_by_the_containers_users(prepared: Path) -> None:
    assert _mode(prepared / "fleet.yaml") & 0o444 == 0o444
    for path in (prepared / "deploy" / "compose").rglob("*"):
        assert _mode(path) & 0o444 == 0o444, path
    assert os.access(prepared / "deploy" / "compose" / "prepare.sh", os.X_OK)


def test_what_is_there_is_not_made_again(prepared: Path) -> None:
    before = (prepared / "secrets" / "redis_password").read_text()
    assert len(before) == 48
    (prepared / "fleet.yaml").write_text("mine")
    script = prepared / "deploy" / "compose" / "prepare.sh"
    done = subprocess.run([script], check=True, capture_output=True, text=True)
    assert done.stdout == ""
    assert (prepared / "fleet.yaml").read_text() == "mine"
    assert (prepared / "secrets" / "redis_password").read_text() == before


def test_the_user_of_redis_is_the_one_of_the_documentation() -> None:
    page = (TOP / "docs" / "redis.md").read_text()
    (written,) = re.findall(r"^ACL SETUSER driftfleet on >PASSWORD (.*?)```", page, re.M | re.S)
    script = (TOP / "deploy" / "compose" / "redis.sh").read_text()
    (made,) = re.findall(r'"user driftfleet on #\$hash (.*?)\n\}', script, re.S)
    rights = set(re.sub(r"[\"'\\]", " ", made).split())
    # Of Redis 7.2; and what `driftfleet doctor` looks at.
    assert rights - set(written.split()) == {"+client|setinfo", "+info", "+config|get"}
    assert set(written.split()) <= rights


def make_up(prepared: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """`make up`, with an engine that answers and a Compose that says what it was told."""
    shutil.copy2(TOP / "Makefile", prepared)
    docker = prepared / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text("#!/bin/sh\n")
    docker.chmod(0o755)
    return subprocess.run(
        ["make", "--silent", "up", "COMPOSE=echo"],
        cwd=prepared, env={"PATH": f"{docker.parent}:{os.environ['PATH']}", **environment},
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("image", "word"),
    [
        ("driftfleet", "build"),
        ("registry.example.com/driftfleet:1", "pull"),
        (f"registry.example.com/driftfleet@sha256:{'0' * 64}", "pull"),
    ],
)
def test_an_image_of_a_registry_is_pulled_and_never_built_under_its_name(
    prepared: Path, image: str, word: str
) -> None:
    example = (prepared / ".env").read_text()
    (prepared / ".env").write_text(example.replace("IMAGE=driftfleet", f"IMAGE={image}"))
    done = make_up(prepared, **({"TFENV_VERSION": "none"} if word == "build" else {}))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [f"{word} volumes", "up --detach --no-build"]


def test_what_the_build_would_lack_is_told_before_it(prepared: Path) -> None:
    done = make_up(prepared)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("vendor/tfenv-3.2.0.tar.gz is not there")
    (prepared / "vendor").mkdir()
    (prepared / "vendor" / "tfenv-3.2.0.tar.gz").touch()
    (prepared / "bin" / "docker").unlink()
    (prepared / "bin").rmdir()
    assert make_up(prepared).stdout.startswith("build volumes")


@pytest.mark.parametrize(
    ("there", "environment", "asked"),
    [
        (["motoserver/moto:5"], {}, []),
        (["motoserver/moto:5.2.3"], {}, ["pull 5", "pull 5.2.3", "tag 5.2.3 5"]),
        ([], {"MOTO_IMAGE": "registry.example.com/moto:1"}, []),
        ([], {"COMPOSE_PROFILES": "other"}, []),
    ],
)
def test_moto_gets_its_name_where_no_release_has_it(
    prepared: Path, there: list[str], environment: dict[str, str], asked: list[str]
) -> None:
    # An engine and a registry that have these images and no others.
    docker = prepared / "bin" / "docker"
    docker.parent.mkdir()
    docker.write_text(
        "#!/bin/sh\n"
        'for last in "$@"; do :; done\n'
        '[ "$1" = image ] || echo "$*" | sed "s/--quiet //; s,motoserver/moto:,,g" >> asked\n'
        f'[ "$1" = tag ] || case " {" ".join(there)} " in *" $last "*) ;; *) exit 1 ;; esac\n'
    )
    docker.chmod(0o755)
    (prepared / "asked").touch()
    script = prepared / "deploy" / "compose" / "moto.sh"
    path = f"{docker.parent}:{os.environ['PATH']}"
    subprocess.run([script], env={"PATH": path, **environment}, cwd=prepared, check=True)
    assert (prepared / "asked").read_text().splitlines() == asked


def test_the_image_is_made_of_constrained_packages_alone() -> None:
    text = (TOP / "Dockerfile").read_text().replace("\\\n", " ")
    commands = re.findall(r"/pip (?:install|wheel) [^&\n]*", text)
    assert len(commands) == 4
    for command in commands:
        constrained = "-c constraints.txt" in command and "--only-binary :all:" in command
        # What builds comes from there, too: pip would fetch the newest into a place of its own.
        ours = "--no-deps" in command and ("--no-build-isolation" in command or ".whl" in command)
        assert constrained or ours, command


def test_both_targets_of_the_image_can_be_built_by_what_stands_in_env() -> None:
    text = (TOP / "Dockerfile").read_text()
    build = SERVICES["volumes"]["build"]
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", text, re.M))
    example = (TOP / "deploy" / "compose" / "env.example").read_text()
    (other,) = re.findall(r"^#DRIFTFLEET_TARGET=(.+)", example, re.M)
    assert build["target"] == "${DRIFTFLEET_TARGET:-fleet}"
    assert {"fleet", other} <= stages
    # No target is what the compose file builds: the last stage is the same.
    assert text.rstrip().endswith("FROM fleet")
    assert set(build["args"]) <= set(re.findall(r"^ARG (\w+)", text, re.M))
