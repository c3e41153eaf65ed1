-- +goose Up
ALTER TABLE subjects ADD COLUMN guardian_revision INTEGER NOT NULL DEFAULT 0; -- of the notice that the guardian confirmed

-- Links by which guardians speak for a person. Of a guardian only a commitment is kept, which
-- is another one for each person.
CREATE TABLE guardians (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  account    TEXT NOT NULL,
  secret     BLOB NOT NULL UNIQUE CHECK (length(secret) = 32), -- SHA-256 of the link's secret
  ends_ms    INTEGER NOT NULL, -- until then somebody may answer the first time
  guardian   BLOB CHECK (length(guardian) = 16), -- who answered; NULL: nobody yet
  PRIMARY KEY (subject_id, secret)
) STRICT, WITHOUT ROWID;

CREATE TABLE guardian_events (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  n          INTEGER NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('Pending', 'Verified', 'Refused', 'Withdrawn')),
  at_ms      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  guardian   BLOB,
  relation   TEXT NOT NULL,
  account    TEXT NOT NULL,
  language   TEXT NOT NULL,
  PRIMARY KEY (subject_id, n)
) STRICT, WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER guardian_events_no_update BEFORE UPDATE ON guardian_events
BEGIN SELECT RAISE(ABORT, 'guardian events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER guardian_events_no_delete BEFORE DELETE ON guardian_events
BEGIN SELECT RAISE(ABORT, 'guardian events are append-only'); END;
-- +goose StatementEnd
