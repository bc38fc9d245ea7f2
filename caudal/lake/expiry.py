"""Gives back space: old versions with the objects that only they named, and objects that no version ever named."""

from dataclasses import dataclass

from caudal.lake.catalog import Catalog, shadow_name
from caudal.lake.files import Files
from caudal.lake.objects import PREFIX, table_folders


@dataclass
class Freed:
    """What was given back."""

    versions: int = 0
    objects: int = 0
    bytes: int = 0


def expire(catalog: Catalog, files: Files, table: str, keep: int, before: int, pretend: bool = False) -> Freed:
    """Expire versions, then delete their objects: see `Upkeep.expire`. What a crash leaves between is an orphan."""
    freed = Freed()
    while True:
        gone = catalog.expire(table, keep, before, pretend)
        for file in gone.files:
            if not pretend:
                files.delete(file.path)
            freed.objects += 1
            freed.bytes += file.bytes
        freed.versions += gone.versions
        if pretend or not gone.versions:
            return freed


def remove_orphans(
    catalog: Catalog, files: Files, database: str, table: str, before: int, pretend: bool = False
) -> Freed:
    """Delete objects that no version names and that were written before a time, microseconds since 1970, UTC.

    Killed writers leave such. A writer that is alive after all, and commits one later, is refused and writes it again:
    the catalog disowns an object before it is deleted.
    """
    shadow = shadow_name(table)
    there = [info for name in (table, shadow) for folder in table_folders(database, name) for info in files.list(folder)]
    names = [name for name in (shadow, table) if name in catalog.tables()]  # asked now: one begun since has nothing there
    named = {file.path for name in names for file in catalog.named(name)}
    lost = {
        info.path: info.bytes for info in there
        if info.path not in named and info.path.rpartition("/")[2].startswith(PREFIX) and _is_old(files, info.path, before)
    }
    paths = sorted(lost)
    for name in () if pretend else names:  # the shadow first: a swap makes its objects those of the table
        paths = catalog.disown(name, paths)
    for path in paths if not pretend else ():
        files.delete(path)
    return Freed(0, len(paths), sum(lost[path] for path in paths))


def _is_old(files: Files, path: str, before: int) -> bool:
    written = files.written(path)
    return written is not None and written < before
