"""A fleet to be broken: a Redis of its own, workers, a store, and the producer's ticks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from driftfleet.settings import BrokerSettings, ResultSettings, Settings, WorkerSettings
from tests.faults.fleet import BrokenFleet
from tests.redis_server import RedisServer
from tests.workers import short_folder

MakeFleet = Callable[..., BrokenFleet]


_HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What may take longest begins first: the others run beside it, and none waits for it.

    A process of xdist's is given two at a time, so the two that work the most don't do so at once.
    """
    items.sort(key=lambda item: -_most_seconds(item))


def _most_seconds(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout") if item.path.is_relative_to(_HERE) else None
    return mark.args[0] if mark else 0


@pytest.fixture
def make_fleet(tmp_path: Path, mirror: Path) -> Iterator[MakeFleet]:
    """Makes one; at its end the workers' writable root is empty, and no process is left.

    ``broker`` names a Redis that somebody else runs, ``results`` another store than a folder.
    """
    made: list[BrokenFleet] = []
    with short_folder("r") as redis_folder, short_folder("w") as place:
        repository = tmp_path / "repository"
        repository.mkdir()
        (place / "w").mkdir()

        def make(
            *,
            append_only: bool = True,
            visibility_timeout_seconds: int = 10,
            concurrency: int = 2,
            more: dict[str, Any] | None = None,
            broker: dict[str, Any] | None = None,
            results: ResultSettings | None = None,
            **worker: Any,
        ) -> BrokenFleet:
            server = None
            if broker is None:
                server = RedisServer(redis_folder, append_only=append_only)
                server.start()
                broker = {"url": server.url}
            settings = Settings(
                broker=BrokerSettings(
                    visibility_timeout_seconds=visibility_timeout_seconds, **broker
                ),
                results=results or ResultSettings(store=f"file://{place / 'results'}"),
                worker=WorkerSettings(
                    **{
                        "concurrency": concurrency,
                        "writable_root": place / "w",
                        "mirror": mirror,
                        "local_roots": (repository,),
                        "stop_grace_seconds": 1,
                        "drain_seconds": 5,
                        "attempts": 1,
                        **worker,
                    }
                ),
                **(more or {}),
            )
            fleet = BrokenFleet(settings, repository, tmp_path / "worker.log", redis_folder)
            fleet.server = server
            made.append(fleet)
            return fleet

        try:
            yield make
        finally:
            for fleet in made:
                fleet.stop()
                if fleet.server is not None:
                    fleet.server.stop()
        # The cache is there to stay.
        assert [path.name for path in (place / "w").iterdir() if path.name != "cache"] == []
