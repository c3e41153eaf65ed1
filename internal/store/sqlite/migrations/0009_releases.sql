-- +goose Up
-- What was told of tables of counts (docs/aggregates.md), written before it is told. What may be told next depends on it,
-- so it stays. There is nobody in it: numbers of people, by stage, tag, purpose or campaign.
CREATE TABLE releases (
  id          INTEGER PRIMARY KEY, -- in the order in which they were written
  transfer_id TEXT NOT NULL REFERENCES transfers (id),
  name        TEXT NOT NULL, -- of the table
  at_ms       INTEGER NOT NULL,
  counted_ms  INTEGER NOT NULL, -- when people were counted; before at_ms where earlier numbers are told again
  UNIQUE (transfer_id, name)
) STRICT;
CREATE INDEX releases_by_name ON releases (name, id);

CREATE TABLE release_cells (
  release_id INTEGER NOT NULL REFERENCES releases (id),
  row_key    TEXT NOT NULL, -- empty in a table of one dimension
  column_key TEXT NOT NULL, -- empty: the total of the row
  value      INTEGER NOT NULL, -- told; 0: hidden
  counted    INTEGER NOT NULL CHECK (counted >= 0), -- people when the value was set; it never leaves
  CHECK (value = 0 OR (value >= 20 AND value % 10 = 0 AND counted >= 20)),
  PRIMARY KEY (release_id, row_key, column_key)
) STRICT, WITHOUT ROWID;

-- +goose StatementBegin
CREATE TRIGGER releases_no_update BEFORE UPDATE ON releases
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER releases_no_delete BEFORE DELETE ON releases
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER release_cells_no_update BEFORE UPDATE ON release_cells
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER release_cells_no_delete BEFORE DELETE ON release_cells
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
-- +goose StatementEnd
-- Replacing a row is no way round: it begins with an insert.
-- +goose StatementBegin
CREATE TRIGGER releases_no_replace BEFORE INSERT ON releases
WHEN EXISTS (SELECT 1 FROM releases WHERE id = NEW.id OR (transfer_id = NEW.transfer_id AND name = NEW.name))
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER release_cells_no_replace BEFORE INSERT ON release_cells
WHEN EXISTS (SELECT 1 FROM release_cells WHERE release_id = NEW.release_id AND row_key = NEW.row_key AND column_key = NEW.column_key)
BEGIN SELECT RAISE(ABORT, 'releases are append-only'); END;
-- +goose StatementEnd
