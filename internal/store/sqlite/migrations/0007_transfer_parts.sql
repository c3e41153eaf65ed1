-- +goose Up
-- A part of a transfer is a permit over its people: whoever holds the lease may write their rows until the deadline.
CREATE TABLE transfer_parts (
  transfer_id TEXT NOT NULL REFERENCES transfers (id),
  part        INTEGER NOT NULL CHECK (part >= 0),
  state       TEXT NOT NULL CHECK (state IN ('Leased', 'Written')),
  lease       INTEGER NOT NULL DEFAULT 1, -- how often it was leased
  deadline_ms INTEGER NOT NULL,
  after       BLOB NOT NULL, -- the last person before it
  people      INTEGER NOT NULL CHECK (people >= 0), -- in it now
  processor   TEXT NOT NULL, -- for whom, and in which year, its people were counted
  year        INTEGER NOT NULL,
  newly_plain     INTEGER NOT NULL, -- by how much each counter moved
  newly_sensitive INTEGER NOT NULL,
  object      TEXT NOT NULL DEFAULT '',
  sha256      TEXT NOT NULL DEFAULT '',
  rows        INTEGER NOT NULL DEFAULT 0,
  bytes       INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (transfer_id, part)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX transfer_parts_open ON transfer_parts (transfer_id) WHERE state = 'Leased'; -- one at a time

-- Where the search for people goes on.
ALTER TABLE transfers ADD COLUMN cursor BLOB NOT NULL DEFAULT x'00';

ALTER TABLE transfer_rows ADD COLUMN part INTEGER NOT NULL DEFAULT -1; -- -1: streamed, before there were parts
ALTER TABLE transfer_rows ADD COLUMN dropped INTEGER NOT NULL DEFAULT 0 CHECK (dropped IN (0, 1)); -- left out of its part when that was leased again

-- How many transfer_persons there are, so that a decision reads one row.
CREATE TABLE transfer_totals (
  processor TEXT NOT NULL,
  year      INTEGER NOT NULL,
  sensitive INTEGER NOT NULL CHECK (sensitive IN (0, 1)),
  persons   INTEGER NOT NULL CHECK (persons >= 0),
  PRIMARY KEY (processor, year, sensitive)
) STRICT, WITHOUT ROWID;
INSERT INTO transfer_totals SELECT processor, year, sensitive, count(*) FROM transfer_persons GROUP BY processor, year, sensitive;

-- What a stream had sent of a transfer is not known part by part: it is sent again, from its beginning.
UPDATE transfers SET persons = 0 WHERE state = 'Started';

-- Children in the parts so far, about whom everything is sensitive; and what the processor's
-- other stores had counted when the transfer was declared.
ALTER TABLE transfers ADD COLUMN young INTEGER NOT NULL DEFAULT 0;
ALTER TABLE transfers ADD COLUMN elsewhere TEXT NOT NULL DEFAULT '{}';

-- Whose records a recipient got, and when last, by commitment.
CREATE TABLE recipient_persons (
  recipient  TEXT NOT NULL,
  sensitive  INTEGER NOT NULL CHECK (sensitive IN (0, 1)),
  commitment BLOB NOT NULL,
  last_ms    INTEGER NOT NULL,
  PRIMARY KEY (recipient, sensitive, commitment)
) STRICT, WITHOUT ROWID;
