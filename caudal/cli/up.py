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
    from caudal.pipeline import Stages
    from caudal.supervisor import Supervisor

WATCH_SECONDS = 0.2
DISORDER = "Serve them with DynamoDB's changes out of order and repeated in Kinesis, by this seed (gateway.disorder)."


def up(
    context: typer.Context,
    aws: Annotated[bool, typer.Option("--aws", help="Serve AWS's APIs as well, at gateway.url.")] = False,
    aws_limits: Annotated[bool, typer.Option("--aws-limits", help="Serve them within AWS's quotas (gateway.limits).")] = False,
    aws_disorder: Annotated[int, typer.Option("--aws-disorder", metavar="SEED", help=DISORDER)] = 0,
) -> None:
    """Run writer, HTTP API, scheduled training, maintenance and publishing of Iceberg tables until stopped.

    With --aws also AWS's own APIs: point any AWS client at it with AWS_ENDPOINT_URL. Where there is no pipeline file, they
    alone run. Whichever part dies is started again. Ctrl-C or SIGTERM stops it, and everything that it started.

    Example: caudal up
    """
    from caudal.supervisor import Supervisor

    stop = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: stop.set())
    if aws_limits:
        os.environ["CAUDAL_GATEWAY_LIMITS"] = "true"  # for the parts
    if aws_disorder:
        os.environ["CAUDAL_GATEWAY_DISORDER"] = str(aws_disorder)
    addresses, names = _check(context, aws or aws_limits or bool(aws_disorder))
    supervisor = Supervisor(pipeline_file(context), names, tell=note)
    supervisor.start()
    try:
        _watch(supervisor, addresses, stop)
    finally:
        supervisor.stop()
    say("stopped")


def _check(context: typer.Context, aws: bool) -> tuple[dict[str, str], tuple[str, ...]]:
    """Fail now, in one line, where a part would fail again and again.

    Returns the addresses that will answer, each with what to say of it then, and the parts to run.
    """
    from caudal.supervisor import GATEWAY, PARTS, PUBLISHER

    addresses: dict[str, str] = {}
    names: tuple[str, ...] = ()
    with opened(context, may_be_missing=aws) as stages:
        config = stages.config
        _ = stages.store, stages.stream, stages.catalog
        if stages.pipeline.file is not None:
            names = (*PARTS, PUBLISHER) if _check_stages(stages) else PARTS
            at = _free(config.endpoint.url, "endpoint")
            addresses[at] = f"the API listens at {at}, and describes itself at {at}/schema/openapi.json; Ctrl-C stops"
    if aws:
        _check_package("botocore", "aws")
        at, names = _free(config.gateway.url, "gateway"), (*names, GATEWAY)
        addresses[at] = f"AWS's APIs listen at {at}: set AWS_ENDPOINT_URL={at}"
    return addresses, names


def _check_stages(stages: "Stages") -> bool:
    """Fail if the endpoint or the publisher would; whether there are Iceberg tables to publish."""
    from caudal.lake.iceberg import open_publisher
    from caudal.registry import find_backend
    from caudal.serve import BACKENDS, Endpoint

    find_backend(Endpoint, BACKENDS, stages.config.endpoint.url)  # type: ignore[type-abstract]
    publishes = any(table.format == "iceberg" for table in stages.catalog.tables().values())
    if publishes:
        open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files).close()
    return publishes


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
