-- +goose Up
-- Recipients who must be told that a person withdrew, was erased, or was corrected. The person is named to the
-- recipient by the identifier that it was given, which follows from the key of the ledger and says nothing by itself.
CREATE TABLE duties (
  recipient  TEXT NOT NULL,
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  kind       TEXT NOT NULL CHECK (kind IN ('Withdrawn', 'Erased', 'Corrected')),
  since_ms   INTEGER NOT NULL,
  due_ms     INTEGER NOT NULL,
  told_ms    INTEGER NOT NULL DEFAULT 0, -- 0: not yet
  told_as    TEXT NOT NULL DEFAULT '',   -- reference of the letter
  acked_ms   INTEGER NOT NULL DEFAULT 0,
  acked_as   TEXT NOT NULL DEFAULT '',
  CHECK ((told_ms = 0) = (told_as = '')),
  CHECK ((acked_ms = 0) = (acked_as = '') AND (acked_ms = 0 OR told_ms > 0)),
  PRIMARY KEY (recipient, subject_id, kind, since_ms)
) STRICT, WITHOUT ROWID;
CREATE INDEX duties_open ON duties (recipient, due_ms) WHERE told_ms = 0;
CREATE INDEX duties_told ON duties (recipient, told_as) WHERE told_ms > 0;
CREATE INDEX duties_of ON duties (subject_id, recipient);

-- To whom a transfer goes.
ALTER TABLE transfers ADD COLUMN recipient TEXT GENERATED ALWAYS AS (json_extract(spec, '$.Recipient')) VIRTUAL;
CREATE INDEX transfers_of ON transfers (recipient);
