"""`caudal maintain`: small files, old versions, orphans, expired items."""

from typing import Annotated

import typer

from caudal.cli.screen import note, say, show_json, show_table
from caudal.cli.session import Json, opened


def maintain(
    context: typer.Context,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    json: Json = False,
) -> None:
    """Merge small files, expire old versions, remove what nothing names, delete expired items, trim streams.

    Runs beside everything else; `caudal up` does it by itself. How much is kept is in [maintain] of caudal.toml.

    Example: caudal maintain --dry-run
    """
    from caudal.maintain import maintain as look_after

    with opened(context) as stages:
        done = look_after(stages, pretend=dry_run)
    if json:
        show_json({"ok": not done.problems, "dry_run": dry_run, "tables": done.tables, "sources": done.sources,
                   "problems": done.problems})
    else:
        show_table(
            ("table", "merged", "into", "merged MB", "base keys", "versions expired", "objects removed", "freed MB"),
            [(t.table, f"{t.merged:,}", f"{t.into:,}", _mb(t.merged_bytes), f"{t.base_keys:,}", f"{t.versions_expired:,}",
              f"{t.objects_removed:,}", _mb(t.bytes_freed)) for t in done.tables],
            right=range(1, 8),
        )
        for source in done.sources:
            if source.items_expired or source.records_trimmed:
                say(f"{source.table}: {source.items_expired:,} expired items deleted, "
                    f"{source.records_trimmed:,} records of its stream trimmed")
    for problem in done.problems:
        note(f"caudal: {problem}")
    if done.problems:
        raise typer.Exit(1)
    if dry_run and not json:
        say("nothing was changed")


def _mb(size: int) -> str:
    return f"{size / 1e6:,.1f}"
