"""`caudal up`: everything that runs all the time."""

import os
import signal
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import typer

from caudal.cli.screen import note, say
from caudal.cli.session import opened, pipeline_file
from caudal.errors import ConfigError

if TYPE_CHECKING:
    from caudal.supervisor import Supervisor

WATCH_SECONDS = 0.2


def up(context: typer.Context) -> None:
    """Run writer, HTTP API, scheduled training, maintenance and publishing of Iceberg tables until stopped.

    Whichever of them dies is started again. Ctrl-C or SIGTERM stops it, and everything that it started.

    Example: caudal up
    """
    from caudal.supervisor import PARTS, PUBLISHER, Supervisor

    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    address, publishes = _check(context)
    names = (*PARTS, PUBLISHER) if publishes else PARTS
    supervisor = Supervisor(pipeline_file(context), names, tell=note)
    supervisor.start()
    try:
        _watch(supervisor, address, stop)
    finally:
        supervisor.stop()
    say("stopped")


def _check(context: typer.Context) -> tuple[str, bool]:
    """Fail now, in one line, where a part would fail again and again.

    Returns where the API will listen, and whether there are Iceberg tables to publish.
    """
    from caudal.lake.iceberg import open_publisher
    from caudal.registry import find_backend
    from caudal.serve import BACKENDS, Endpoint
    from caudal.serve.address import address_of

    with opened(context) as stages:
        _ = stages.store, stages.stream, stages.catalog
        find_backend(Endpoint, BACKENDS, stages.config.endpoint.url)  # type: ignore[type-abstract]
        host, port, _public = address_of(stages.config.endpoint.url)
        address = stages.config.endpoint.url.partition("?")[0]
        publishes = any(table.format == "iceberg" for table in stages.catalog.tables().values())
        if publishes:
            open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files).close()
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        hint = "is it up already? Or choose another port in endpoint.url"
        raise ConfigError(f"{address}: {os.strerror(error.errno or 0)}", hint=hint) from None
    return address, publishes


def _watch(supervisor: "Supervisor", address: str, stop: threading.Event) -> None:
    answers = False
    while not stop.wait(WATCH_SECONDS):
        supervisor.watch()
        if not answers and _answers(address):
            answers = True
            say(f"the API listens at {address}, and describes itself at {address}/schema/openapi.json; Ctrl-C stops")


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()
    except OSError:
        return False
    return True
