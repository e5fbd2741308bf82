"""What several integration tests share."""

import platform
import secrets
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from pydantic import SecretStr

from driftfleet.aws_client import OwnClient
from driftfleet.configuration import process_environment
from driftfleet.installs.tfenv import find_tfenv
from driftfleet.redis_client import connect
from driftfleet.s3_settings import place_of
from driftfleet.settings import BrokerSettings, GitHubSettings, ResultSettings, Settings
from driftfleet.store import ResultStore, open_store
from driftfleet.store.s3 import S3Objects
from driftfleet.store.s3_client import connect as connect_s3
from producer.embedded import embedded_redis
from tests import providers
from tests.conftest import require_program
from tests.lambda_sandbox import LambdaSandbox
from tests.producing import Producer
from tests.releases import Releases
from tests.releases import serving as serving_releases
from tests.runtime_api import RuntimeApi
from tests.s3 import S3, have_keys, s3, s3_server
from tests.s3_proxy import S3Proxy, proxied
from tests.standin import StandIn
from tests.standin.fixture import serving
from tests.standin.monorepo import make_monorepo, make_wide_tree
from tests.sts import Sts, running_sts

__all__ = ["s3", "s3_server"]


@pytest.fixture
def ghe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """A GitHub Enterprise Server; at its end nothing may have been against GitHub's description."""
    with serving(tmp_path_factory.mktemp("ghe")) as standin:
        yield standin


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandIn]:
    """Another host: a server of its own, on another loopback address."""
    with serving(tmp_path_factory.mktemp("elsewhere"), address="127.0.0.2") as standin:
        yield standin


@pytest.fixture(scope="session")
def monorepo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository to serve: 5,800 files, 4,000 of them .tf in 340 folders, 26 MB."""
    return make_monorepo(tmp_path_factory.mktemp("monorepo") / "bare")


@pytest.fixture(scope="session")
def wide_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare repository to serve: a tree of 200,000 entries."""
    return make_wide_tree(tmp_path_factory.mktemp("wide") / "bare", 200_000)


@pytest.fixture
def tfenv() -> Path:
    """The real one. It is in no package registry: where it is not there, CI has none either."""
    if (found := find_tfenv(process_environment())) is None:
        pytest.skip("no tfenv: name it in DRIFTFLEET_TFENV, or put it on the PATH")
    for name in ("curl", "unzip"):
        require_program(name, f"apt-get install {name}")
    if platform.machine() != "x86_64":
        pytest.skip("the mirror has binaries for amd64 only")
    return found


@pytest.fixture
def releases(tmp_path: Path) -> Iterator[Releases]:
    (tmp_path / "releases").mkdir()
    with serving_releases(tmp_path / "releases") as mirror:
        yield mirror


@pytest.fixture
def runtime_api() -> Iterator[RuntimeApi]:
    with RuntimeApi() as api:
        yield api


@pytest.fixture
def new_token(ghe: StandIn) -> str:
    ghe.rotate(f"ghp_{secrets.token_hex(18)}")
    return ghe.token


@pytest.fixture
def lambda_world(tmp_path: Path) -> Path:
    """What the demo provider's resources are in; the function has it as /mnt/world."""
    folder = tmp_path / "world"
    folder.mkdir()
    return folder


@pytest.fixture
def lambda_mirror(tmp_path: Path) -> Path:
    """The demo provider where the function can start it."""
    folder = providers.build_mirror(tmp_path / "mirror")
    launcher = next(path for path in folder.iterdir() if path.is_file())
    launcher.write_text(
        "#!/bin/sh\nexec /var/venv/bin/python -I -B "
        '/var/task/examples/provider/demo_provider.py "$@"\n'
    )
    return folder


@pytest.fixture
def sandbox(
    runtime_api: RuntimeApi,
    ghe: StandIn,
    new_token: str,
    tmp_path: Path,
    lambda_world: Path,
    lambda_mirror: Path,
) -> LambdaSandbox:
    for name in ("tmp", "results"):
        (tmp_path / name).mkdir()
    return LambdaSandbox(
        api=runtime_api,
        folder=tmp_path / "tmp",
        log=tmp_path / "log",
        environment={
            "DRIFTFLEET_GITHUB__URL": ghe.url,
            "DRIFTFLEET_GITHUB__TOKEN": "env://THE_TOKEN",
            "DRIFTFLEET_GITHUB__WORKER_PATIENCE_SECONDS": "1",
            "THE_TOKEN": new_token,
            "DRIFTFLEET_WORKER__MIRROR": "/mnt/mirror",
            "DRIFTFLEET_RESULTS__STORE": "file:///mnt/results",
        },
        binds={"/mnt/mirror": lambda_mirror, "/mnt/world": lambda_world},
        writable={"/mnt/results": tmp_path / "results"},
    )


@pytest.fixture
def lambda_store(sandbox: LambdaSandbox) -> ResultStore:
    return open_store(ResultSettings(store=f"file://{sandbox.writable['/mnt/results']}"))


@pytest.fixture(scope="session")
def s3_proxy(s3_server: S3) -> Iterator[S3Proxy]:
    with proxied(s3_server.endpoint) as proxy:
        yield proxy


@pytest.fixture
def proxy(s3_proxy: S3Proxy) -> Iterator[S3Proxy]:
    """A proxy before the S3, which does nothing wrong yet."""
    s3_proxy.reset()
    yield s3_proxy
    s3_proxy.reset()


@pytest.fixture
def proxied_s3(s3: S3, proxy: S3Proxy) -> S3:
    """The S3 as it is seen through the proxy."""
    return s3.through(proxy.endpoint)


@pytest.fixture(scope="session")
def impatient_client(s3_server: S3, s3_proxy: S3Proxy) -> OwnClient:
    with pytest.MonkeyPatch.context() as patch:
        have_keys(patch)
        settings = s3_server.through(s3_proxy.endpoint).settings().s3
        client = OwnClient(partial(connect_s3, settings, {}, read_seconds=2))
        client.get()
    return client


@pytest.fixture
def impatient(proxied_s3: S3, impatient_client: OwnClient) -> S3Objects:
    """A new store behind the proxy, whose client doesn't wait for long."""
    settings = proxied_s3.settings()
    return S3Objects(place_of(settings.store), settings.s3, impatient_client)


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_redis(tmp_path_factory.mktemp("r")) as embedded:
        yield embedded.url


@pytest.fixture
def producer(redis_url: str, tmp_path: Path) -> Iterator[Producer]:
    """A producer whose Redis and store hold nothing."""
    client = connect(redis_url)
    client.flushall()
    settings = Settings(
        broker=BrokerSettings(url=SecretStr(redis_url)),
        results=ResultSettings(store=f"file://{tmp_path / 'results'}"),
        github=GitHubSettings(url="https://ghe.invalid"),
    )
    made = Producer(settings, client)
    with made.app:
        yield made


@pytest.fixture
def sts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sts]:
    with running_sts() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", server.endpoint)
        yield server
