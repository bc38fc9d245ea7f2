"""`caudal up`: everything that runs all the time."""

import os
import signal
import socket
import threading
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from caudal.cli.screen import note, say
from caudal.cli.session import opened, pipeline_file
from caudal.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from caudal.supervisor import Supervisor

WATCH_SECONDS = 0.2


def up(
    context: typer.Context,
    aws: Annotated[bool, typer.Option("--aws", help="Serve AWS's APIs as well, at gateway.url.")] = False,
) -> None:
    """Run writer, HTTP API, scheduled training, maintenance and publishing of Iceberg tables until stopped.

    With --aws also AWS's own APIs: point any AWS client at it with AWS_ENDPOINT_URL. Whichever of them dies is started
    again. Ctrl-C or SIGTERM stops it, and everything that it started.

    Example: caudal up
    """
    from caudal.supervisor import GATEWAY, PARTS, PUBLISHER, Supervisor

    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    addresses, publishes = _check(context, aws)
    names = (*PARTS, *([PUBLISHER] if publishes else []), *([GATEWAY] if aws else []))
    supervisor = Supervisor(pipeline_file(context), names, tell=note)
    supervisor.start()
    try:
        _watch(supervisor, addresses, stop)
    finally:
        supervisor.stop()
    say("stopped")


def _check(context: typer.Context, aws: bool) -> tuple[dict[str, str], bool]:
    """Fail now, in one line, where a part would fail again and again.

    Returns the addresses that will answer, each with what to say of it then, and whether there are Iceberg tables to publish.
    """
    from caudal.lake.iceberg import open_publisher
    from caudal.registry import find_backend
    from caudal.serve import BACKENDS, Endpoint

    with opened(context) as stages:
        _ = stages.store, stages.stream, stages.catalog
        config = stages.config
        find_backend(Endpoint, BACKENDS, config.endpoint.url)  # type: ignore[type-abstract]
        publishes = any(table.format == "iceberg" for table in stages.catalog.tables().values())
        if publishes:
            open_publisher(config, stages.pipeline.name, stages.catalog, stages.files).close()
    address = _free(config.endpoint.url, "endpoint")
    addresses = {address: f"the API listens at {address}, and describes itself at {address}/schema/openapi.json; Ctrl-C stops"}
    if aws:
        _check_package("botocore", "aws")
        address = _free(config.gateway.url, "gateway")
        addresses[address] = f"AWS's APIs listen at {address}: set AWS_ENDPOINT_URL={address}"
    return addresses, publishes


def _check_package(package: str, extra: str) -> None:
    """Raises MissingExtra if a package of an extra is not installed."""
    if find_spec(package) is None:
        raise MissingExtra(f"--{extra} needs the package {package}", hint=f"pip install 'caudal[{extra}]'")


def _free(url: str, section: str) -> str:
    """The address in a URL. Raises ConfigError if somebody listens there already."""
    from caudal.serve.address import address_of

    host, port, _public = address_of(url)
    address = url.partition("?")[0]
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        hint = f"is it up already? Or choose another port in {section}.url"
        raise ConfigError(f"{address}: {os.strerror(error.errno or 0)}", hint=hint) from None
    return address


def _watch(supervisor: "Supervisor", addresses: dict[str, str], stop: threading.Event) -> None:
    silent = dict(addresses)
    while not stop.wait(WATCH_SECONDS):
        supervisor.watch()
        for address in [address for address in silent if _answers(address)]:
            say(silent.pop(address))


def _answers(address: str) -> bool:
    parts = urlsplit(address)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1).close()
    except OSError:
        return False
    return True
