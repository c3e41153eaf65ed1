-- +goose Up
-- What people ask about their own data (PIPL 44 to 50). No text: a kind, dates and a code.
CREATE TABLE requests (
  subject_id  BLOB NOT NULL REFERENCES subjects (id),
  n           INTEGER NOT NULL,
  kind        TEXT NOT NULL CHECK (kind IN ('Access', 'Copy', 'Correction', 'Erasure', 'Restriction', 'Explanation')),
  account     TEXT NOT NULL,
  received_ms INTEGER NOT NULL,
  due_ms      INTEGER NOT NULL,
  done_ms     INTEGER NOT NULL DEFAULT 0, -- 0: open
  outcome     TEXT NOT NULL DEFAULT '' CHECK (outcome IN ('', 'Done', 'Refused', 'Moot')),
  CHECK ((done_ms = 0) = (outcome = '')),
  PRIMARY KEY (subject_id, n)
) STRICT, WITHOUT ROWID;
CREATE INDEX requests_open ON requests (due_ms) WHERE done_ms = 0;

-- Erasures. The row is written with the erasure of the records; finished_ms once the key outside this file is destroyed.
CREATE TABLE erasures (
  subject_id  BLOB PRIMARY KEY REFERENCES subjects (id),
  place       INTEGER NOT NULL, -- in the file of people's keys
  control     TEXT NOT NULL,    -- what brought it about: page, setting, clock, request
  begun_ms    INTEGER NOT NULL,
  finished_ms INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;
CREATE INDEX erasures_open ON erasures (begun_ms) WHERE finished_ms = 0;

-- When the person was last heard of, to the day; and when they were last invited to answer.
ALTER TABLE subjects ADD COLUMN seen_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE subjects ADD COLUMN asked_ms INTEGER NOT NULL DEFAULT 0;
UPDATE subjects SET seen_ms = max(created_ms,
  COALESCE((SELECT max(received_ms) FROM events e WHERE e.subject_id = subjects.id), 0),
  COALESCE((SELECT max(at_ms) FROM consent_events c WHERE c.subject_id = subjects.id AND c.control <> 'clock'), 0));
CREATE INDEX subjects_seen ON subjects (seen_ms) WHERE wrapped IS NOT NULL;

-- When a transfer's first byte was allowed to leave.
ALTER TABLE transfers ADD COLUMN started_ms INTEGER NOT NULL DEFAULT 0;

-- To find the entries about a person that are not sealed.
CREATE INDEX log_of_subject ON log (subject_id) WHERE subject_id IS NOT NULL AND body IS NOT NULL;

-- What a person said goes when the person is erased, and at no other time.
DROP TRIGGER consent_events_no_delete;
-- +goose StatementBegin
CREATE TRIGGER consent_events_no_delete BEFORE DELETE ON consent_events
WHEN (SELECT wrapped FROM subjects WHERE id = OLD.subject_id) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'consent events are append-only'); END;
-- +goose StatementEnd
