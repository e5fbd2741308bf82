"""A message that can't be acknowledged: its connection ends with it, and no slot is lost."""

import pytest
from pydantic import SecretStr

from driftfleet.celery_app import build_app, send
from driftfleet.settings import BrokerSettings, Settings
from tests.ledgers import job
from tests.redis_server import redis_server
from tests.workers import short_folder


@pytest.mark.parametrize("settle", ["basic_ack", "basic_reject", "basic_reject again"])
def test_the_connection_is_taken_as_lost(settle: str) -> None:
    method, _, again = settle.partition(" ")
    one = job(repo="acme/infra", root="r")
    with short_folder("ack") as folder, redis_server(folder) as server:
        settings = Settings(broker=BrokerSettings(url=SecretStr(server.url)))
        with build_app(settings) as app, app.connection_for_read() as connection:
            send(app, [one])
            channel = connection.channel()
            message = channel.basic_get(one.queue)
            assert message is not None
            assert not connection.transport.lost
            server.kill()
            with pytest.raises(connection.connection_errors):
                getattr(channel, method)(
                    message.delivery_tag, **({"requeue": True} if again else {})
                )
            assert connection.transport.lost
            server.start()
