-- +goose Up
-- Entries of form 1 committed to person, time and kind in one hash; from form 2 on, time and kind can be proved
-- without the rest. What is there keeps its form.
ALTER TABLE log ADD COLUMN form INTEGER NOT NULL DEFAULT 1 CHECK (form IN (1, 2));
CREATE INDEX log_by_subject ON log (subject_id, kind) WHERE subject_id IS NOT NULL;

DROP TRIGGER log_seal_only;
-- +goose StatementBegin
CREATE TRIGGER log_seal_only BEFORE UPDATE ON log
WHEN NEW.seq <> OLD.seq OR NEW.at_ms <> OLD.at_ms OR NEW.kind <> OLD.kind OR NEW.leaf <> OLD.leaf OR NEW.form <> OLD.form OR NEW.subject_id IS NOT OLD.subject_id OR NEW.body IS NOT NULL OR NEW.salt IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a log entry may only be sealed'); END;
-- +goose StatementEnd

-- Complete nodes of the tree from level 4 up (one for every 16 entries, and their parents): proofs are read, not recomputed.
CREATE TABLE log_nodes (
  level INTEGER NOT NULL CHECK (level >= 4),
  n     INTEGER NOT NULL,
  hash  BLOB NOT NULL CHECK (length(hash) = 32),
  PRIMARY KEY (level, n)
) STRICT, WITHOUT ROWID;

-- Every tree head that was ever signed: a log signs no two that contradict each other.
CREATE TABLE checkpoints (
  size  INTEGER PRIMARY KEY,
  root  BLOB NOT NULL CHECK (length(root) = 32),
  at_ms INTEGER NOT NULL,
  note  TEXT NOT NULL
) STRICT;
-- +goose StatementBegin
CREATE TRIGGER checkpoints_no_update BEFORE UPDATE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER checkpoints_no_delete BEFORE DELETE ON checkpoints
BEGIN SELECT RAISE(ABORT, 'checkpoints are append-only'); END;
-- +goose StatementEnd

-- What people were shown when they answered, by hash; entries of the log name the hash.
CREATE TABLE shown (
  hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
  body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
