"""Metrics of a service: told in any of its processes, published by its main one.

`Meter` has a method for each thing that happens. With nothing configured it tells nobody.
"""

import os
import socket
from collections.abc import Mapping
from typing import Literal

import structlog

from driftfleet.configuration import process_environment
from driftfleet.metrics.meter import Meter
from driftfleet.metrics.outlet import Datagrams, Kept
from driftfleet.metrics.reader import Reader, Sink
from driftfleet.metrics.sample import lost
from driftfleet.metrics.table import LOST_AT_CLOUDWATCH
from driftfleet.metrics_settings import MetricsSettings, PrometheusSettings

__all__ = ["Kept", "Meter", "Service", "open_meter"]

log = structlog.get_logger()

Service = Literal["worker", "producer"]
# How far a service's port is from the one that is set: both may run on one machine.
_PORT_AFTER: Mapping[Service, int] = {"worker": 0, "producer": 1}


def open_meter(
    settings: MetricsSettings, service: Service, environment: Mapping[str, str] | None = None
) -> Meter:
    """The meter of a service: to be opened before its main process forks, and started after that.

    ``environment`` tells CloudWatch's region where the settings don't; by default this process's.
    Never fails: what can't be published is told by the log, and the service goes on.
    """
    if settings.cloudwatch is None and settings.prometheus is None:
        return Meter()
    return _OpenMeter(settings, service, environment or process_environment())


class _OpenMeter(Meter):
    """A meter whose samples go to this process, from it and from all that it forks."""

    def __init__(
        self, settings: MetricsSettings, service: Service, environment: Mapping[str, str]
    ) -> None:
        # Datagrams, not a stream: a process that is killed leaves no half of one.
        self._read_end, self._write_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        super().__init__(Datagrams(self._write_end))
        self._settings = settings
        self._service = service
        self._environment = environment
        self._process = os.getpid()
        self._reader: Reader | None = None

    def start(self) -> None:
        if os.getpid() == self._process and self._reader is None:
            self._reader = Reader(self._read_end, self._write_end, self._sinks())
            self._reader.start()

    def close(self) -> None:
        if os.getpid() == self._process and self._reader is not None:
            self._reader.close()

    def _sinks(self) -> list[Sink]:
        sinks = (self._port(), self._publisher())
        return [sink for sink in sinks if sink is not None]

    def _port(self) -> Sink | None:
        if (told := self._settings.prometheus) is None:
            return None
        # Imported where they are used: most processes publish nothing.
        from driftfleet.metrics.prometheus import Exposition, PrometheusPort  # noqa: PLC0415

        return PrometheusPort(told.host, port_of(told, self._service), Exposition())

    def _publisher(self) -> Sink | None:
        if (told := self._settings.cloudwatch) is None:
            return None
        # Here and not in the publisher's thread: a process that is forked in the middle of an
        # import never gets that module.
        from driftfleet.aws_client import OwnClient  # noqa: PLC0415
        from driftfleet.metrics.cloudwatch import CloudWatchPublisher, connect  # noqa: PLC0415

        try:
            client = OwnClient(lambda: connect(told, self._environment))
            client.get()
        except Exception as error:  # botocore's, of settings that make no client
            log.error(
                "metrics_not_published",
                to="cloudwatch",
                kind=type(error).__name__,
                reason=str(error)[:500],
            )
            return None
        return CloudWatchPublisher(told, client, self._lose)

    def _lose(self, count: int) -> None:
        self._put(lost(LOST_AT_CLOUDWATCH, count))


def port_of(settings: PrometheusSettings, service: Service) -> int:
    """The port of a service; 0 stays any that is free."""
    return settings.port + _PORT_AFTER[service] if settings.port else 0
