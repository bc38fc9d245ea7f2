"""What verbs print: tables, JSON, progress. Plain lines when nobody is looking: no colour, no box, no bar."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import msgspec

from caudal.errors import CaudalError

_json = msgspec.json.Encoder(decimal_format="number")


def printable(text: str) -> str:
    """The text without characters that would move a cursor or hide something: these are shown as escapes."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def say(line: str = "") -> None:
    """Print a line of the answer."""
    write(f"{line}\n".encode(errors="backslashreplace"))


def note(line: str) -> None:
    """Print a line beside the answer: to standard error, so that a pipe does not carry it."""
    print(printable(line), file=sys.stderr, flush=True)


def show_json(value: object) -> None:
    """Print a value as JSON, and nothing else."""
    write(msgspec.json.format(_json.encode(value), indent=2) + b"\n")


def write(data: bytes | memoryview) -> None:
    """Write all of the bytes to standard output: without a buffer (PYTHONUNBUFFERED), one write may be of a part."""
    sys.stdout.flush()
    rest = memoryview(data)
    while rest:
        rest = rest[sys.stdout.buffer.write(rest):]
    sys.stdout.buffer.flush()


def show_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print rows of text under headings; columns whose number is in `right` are aligned to the right."""
    rows = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        _rich_table(columns, rows, right)
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    for row in (columns, *rows):
        cells = (
            cell.rjust(width) if n in right else cell.ljust(width)
            for n, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        say("  ".join(cells).rstrip())


def _rich_table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for n, name in enumerate(columns):
        table.add_column(Text(name), justify="right" if n in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def note_once() -> Callable[[CaudalError], None]:
    """What notes an error that is waited out, once."""
    told: list[CaudalError] = []

    def tell(error: CaudalError) -> None:
        if not told:
            told.append(error)
            note(f"caudal: waiting: {error}")
            note(f"  {error.hint}")

    return tell


@contextmanager
def bytes_bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A progress bar by bytes, on a terminal: call what it gives with bytes done and bytes in all."""
    if not sys.stderr.isatty():
        yield lambda done, of: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=None)
        yield lambda done, of: progress.update(task, completed=done, total=of)


@contextmanager
def steps(label: str) -> Iterator[Callable[[str], None]]:
    """Tell on a terminal which step of a longer work runs: call what it gives with the step's name."""
    if not sys.stderr.isatty():
        yield lambda step: None
        return
    from rich.console import Console

    with Console(stderr=True).status(label) as status:
        yield lambda step: status.update(f"{label}: {step}")
