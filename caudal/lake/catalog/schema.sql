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

CREATE INDEX IF NOT EXISTS data_file_removed ON data_file (removed) WHERE removed IS NOT NULL;

CREATE TABLE IF NOT EXISTS replay (
  table_id INTEGER NOT NULL, shard INTEGER NOT NULL, position INTEGER NOT NULL, outcome TEXT NOT NULL,
  PRIMARY KEY (table_id, shard, position)) WITHOUT ROWID;

-- The files of the newest version are found without passing by those that it no longer has.
CREATE INDEX IF NOT EXISTS data_file_now ON data_file (id) WHERE removed IS NULL;

-- Of a file that a rewrite made: the version with which its newest rows came.
CREATE TABLE IF NOT EXISTS rewritten (file_id INTEGER PRIMARY KEY, fresh INTEGER NOT NULL);

-- Versions below `oldest` cannot be read any more.
CREATE TABLE IF NOT EXISTS expired (table_id INTEGER PRIMARY KEY, oldest INTEGER NOT NULL);

-- Objects that were removed because no version named them: none ever may.
CREATE TABLE IF NOT EXISTS disowned (path TEXT PRIMARY KEY) WITHOUT ROWID;

-- What all commits did together; without a row, it is summed up from the commits.
CREATE TABLE IF NOT EXISTS total (
  table_id INTEGER PRIMARY KEY, records INTEGER NOT NULL, delivered INTEGER NOT NULL, dropped INTEGER NOT NULL,
  quarantined INTEGER NOT NULL, row_count INTEGER NOT NULL, dropped_by_shard TEXT NOT NULL);

-- A table without a row is delivered.
CREATE TABLE IF NOT EXISTS flow (
  table_id INTEGER PRIMARY KEY, paused TEXT NOT NULL, since INTEGER NOT NULL, accepted TEXT NOT NULL);

-- A table that is made anew, to take the place of the one called `live`.
CREATE TABLE IF NOT EXISTS shadow (
  table_id INTEGER PRIMARY KEY, live TEXT NOT NULL, began INTEGER NOT NULL, plan TEXT NOT NULL);
