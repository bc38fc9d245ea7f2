"""Which quarantined records a command is about: the same options for every verb of `caudal quarantine`."""

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from caudal.errors import UsageError

if TYPE_CHECKING:
    from caudal.ingest.writer.quarantine import Filter

Reason = Annotated[str | None, typer.Option(help="Only records of this reason.")]
Since = Annotated[str | None, typer.Option(metavar="TIME", help="Only those that arrived then or later: 2026-11-25T10:00, UTC "
                                           "unless it says a zone, or 90m, 2h, 7d ago.")]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Only those that arrived before.")]
Contains = Annotated[str | None, typer.Option(metavar="TEXT", help="Only those whose raw bytes hold this text.")]
Shard = Annotated[int | None, typer.Option(help="Only records of this shard.", min=0)]
Position = Annotated[int | None, typer.Option(help="Only records at this position.", min=0)]

_AGO = re.compile(r"(\d{1,9})([smhd])\Z", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def picked(
    reason: str | None, since: str | None, until: str | None, contains: str | None, shard: int | None, position: int | None
) -> "Filter":
    """The filter that the options make together."""
    from caudal.ingest.writer.quarantine import Filter

    return Filter(
        reason, moment_of("--since", since) if since else None, moment_of("--until", until) if until else None,
        shard, position, (contains or "").encode(errors="surrogateescape"),
    )


def moment_of(option: str, text: str) -> int:
    """A time of the command line in microseconds since 1970. Raises UsageError."""
    if ago := _AGO.match(text):
        return int((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1e6)
    try:
        at = datetime.fromisoformat(text)
        seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime(1970, 1, 1, tzinfo=UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{option} {text}: not a time", hint="write 2026-11-25, 2026-11-25T10:00+01:00, or 2h for two hours ago"
                         ) from None
    return (seconds.days * 86400 + seconds.seconds) * 1_000_000 + seconds.microseconds
