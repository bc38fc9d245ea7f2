"""Shadows inside the catalog's SQLite file; called inside a transaction."""

import time as clock
from dataclasses import replace

import apsw
import msgspec

from caudal.lake.catalog.port import LakeTable
from caudal.lake.catalog.shadow import Shadow, check_ahead, difference, no_shadow, shadow_name, swapped
from caudal.lake.catalog.sqlite_upkeep import SPAN, add_version, named, read_positions, totals
from caudal.records import DataFile

_definition = msgspec.json.Decoder(LakeTable).decode

_OF_TABLE = ("position", "replay", "total", "expired", "flow")
_OF_SPAN = {"data_file": "id", "snapshot": "id", "rewritten": "file_id"}


def begin(db: apsw.Connection, database: str, table: str, made: LakeTable, plan: str) -> Shadow:
    """See `SupportsShadows.begin_shadow`."""
    found = shadows(db, database).get(table)
    if found is None:
        name = shadow_name(table)
        definition = msgspec.json.encode(replace(made, name=name)).decode()
        db.execute("INSERT INTO lake_table (definition, database, name) VALUES (?, ?, ?)", (definition, database, name))
        found = Shadow(table, name, clock.time_ns() // 1000, plan)
        db.execute("INSERT INTO shadow VALUES (?, ?, ?, ?)", (db.last_insert_rowid(), table, found.began, plan))
    return found


def shadows(db: apsw.Connection, database: str) -> dict[str, Shadow]:
    """See `SupportsShadows.shadows`."""
    sql = "SELECT live, name, began, plan FROM shadow JOIN lake_table ON id = table_id WHERE database = ?"
    return {row[0]: Shadow(*row) for row in db.execute(sql, (database,))}


def swap(db: apsw.Connection, database: str, table: str) -> int:
    """See `SupportsShadows.swap`."""
    id, version, old = _row(db, database, table)
    shadow, _, made = _row(db, database, shadow_name(table))
    there, positions = read_positions(db, id), read_positions(db, shadow)
    check_ahead(table, there, positions)
    counts = difference(totals(db, shadow), totals(db, id))
    newest = db.execute(
        "SELECT newest FROM snapshot WHERE id > ? AND id < ? ORDER BY id DESC LIMIT 1", (shadow * SPAN, (shadow + 1) * SPAN)
    ).get
    dropped = msgspec.json.encode(counts.dropped_by_shard).decode()
    version = add_version(db, id, version, there, positions, (*counts[:5], dropped, newest))
    db.execute("UPDATE data_file SET removed = ? WHERE id > ? AND id < ? AND removed IS NULL AND kind <> 'audit'",
               (version, id * SPAN, (id + 1) * SPAN))
    _move_files(db, shadow, id, version)
    for what in ("position", "replay"):
        db.execute(f"DELETE FROM {what} WHERE table_id = ?", (id,))
        db.execute(f"UPDATE {what} SET table_id = ? WHERE table_id = ?", (id, shadow))
    definition, readable = swapped(old, made, version)
    db.execute("UPDATE lake_table SET definition = ?, epoch = epoch + 1, owner = '', expires = 0 WHERE id = ?",
               (msgspec.json.encode(definition).decode(), id))
    if not readable:
        db.execute("INSERT OR REPLACE INTO expired VALUES (?, ?)", (id, version))
    _remove(db, shadow)
    return version


def drop(db: apsw.Connection, database: str, table: str) -> list[DataFile]:
    """See `SupportsShadows.drop_shadow`."""
    shadow, _, _ = _row(db, database, shadow_name(table))
    files = named(db, shadow)
    _remove(db, shadow)
    return files


def _row(db: apsw.Connection, database: str, name: str) -> tuple[int, int, LakeTable]:
    row = db.execute("SELECT id, version, definition FROM lake_table WHERE database = ? AND name = ?", (database, name)).get
    if row is None:
        raise no_shadow(name.removesuffix(shadow_name("")))
    return row[0], row[1], _definition(row[2])


def _move_files(db: apsw.Connection, shadow: int, id: int, version: int) -> None:
    last = max(db.execute("SELECT max(id) FROM data_file WHERE id < ?", ((id + 1) * SPAN,)).get or 0, id * SPAN)
    db.execute(
        "INSERT INTO data_file SELECT ?1 + row_number() OVER (ORDER BY id), kind, ?2, NULL, path, partition, row_count, bytes,"
        " checksum FROM data_file WHERE id > ?3 AND id < ?4 AND removed IS NULL",
        (last, version, shadow * SPAN, (shadow + 1) * SPAN),
    )


def _remove(db: apsw.Connection, shadow: int) -> None:
    for what in _OF_TABLE:
        db.execute(f"DELETE FROM {what} WHERE table_id = ?", (shadow,))
    for what, column in _OF_SPAN.items():
        db.execute(f"DELETE FROM {what} WHERE {column} > ? AND {column} < ?", (shadow * SPAN, (shadow + 1) * SPAN))
    db.execute("DELETE FROM shadow WHERE table_id = ?", (shadow,))
    db.execute("DELETE FROM lake_table WHERE id = ?", (shadow,))
