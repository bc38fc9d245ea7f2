CREATE TABLE IF NOT EXISTS lake_table (
  id INTEGER PRIMARY KEY, database TEXT NOT NULL, name TEXT NOT NULL, definition TEXT NOT NULL,
  version INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0, owner TEXT NOT NULL DEFAULT '', expires INTEGER NOT NULL DEFAULT 0,
  flushes INTEGER NOT NULL DEFAULT 0,
  UNIQUE (database, name));

CREATE TABLE IF NOT EXISTS position (
  table_id INTEGER NOT NULL, shard INTEGER NOT NULL, offset INTEGER NOT NULL, PRIMARY KEY (table_id, shard));

-- id is table * 2**32 + version: the newest is found without an index.
CREATE TABLE IF NOT EXISTS snapshot (
  id INTEGER PRIMARY KEY, time INTEGER NOT NULL, since TEXT NOT NULL, until TEXT NOT NULL,
  records INTEGER NOT NULL, delivered INTEGER NOT NULL, dropped INTEGER NOT NULL, quarantined INTEGER NOT NULL,
  row_count INTEGER NOT NULL, dropped_by_shard TEXT NOT NULL, newest INTEGER);

-- id is table * 2**32 + serial: a table's files lie together, in the order in which they came.
CREATE TABLE IF NOT EXISTS data_file (
  id INTEGER PRIMARY KEY, kind TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER,
  path TEXT NOT NULL, partition TEXT NOT NULL, row_count INTEGER NOT NULL, bytes INTEGER NOT NULL, checksum TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS replay (
  table_id INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL, outcome TEXT NOT NULL,
  PRIMARY KEY (table_id, shard, position)) WITHOUT ROWID;

-- A table without a row is delivered.
CREATE TABLE IF NOT EXISTS flow (
  table_id INTEGER PRIMARY KEY, paused TEXT NOT NULL, since INTEGER NOT NULL, accepted TEXT NOT NULL);
