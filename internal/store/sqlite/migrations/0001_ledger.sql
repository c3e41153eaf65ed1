-- +goose Up
-- Times are milliseconds since 1970 (UTC), by the store's clock unless a column says otherwise.
-- Every table leads with the subject or the run, so that rows of one person stay together.
CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT;

CREATE TABLE subjects (
  id         BLOB PRIMARY KEY CHECK (length(id) = 16),
  created_ms INTEGER NOT NULL,
  age_band   TEXT NOT NULL DEFAULT '' CHECK (age_band IN ('', 'Under8', '8to13', '14to17', 'Adult')),
  guardian   TEXT NOT NULL DEFAULT '' CHECK (guardian IN ('', 'Pending', 'Verified', 'Refused', 'Withdrawn')),
  wrapped    BLOB -- the person's key under the store's key; NULL: erased
) STRICT;

CREATE TABLE identities (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  kind       TEXT NOT NULL,
  scope      TEXT NOT NULL, -- the account
  blind      BLOB NOT NULL CHECK (length(blind) = 16),
  sealed     BLOB NOT NULL,
  PRIMARY KEY (subject_id, kind, scope)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX identities_blind ON identities (blind);

CREATE TABLE relations (
  subject_id  BLOB NOT NULL REFERENCES subjects (id),
  account     TEXT NOT NULL,
  following   INTEGER NOT NULL CHECK (following IN (0, 1)),
  opted_out   INTEGER NOT NULL CHECK (opted_out IN (0, 1)),
  platform_ms INTEGER NOT NULL, -- platform clock of the newest follow or unfollow
  PRIMARY KEY (subject_id, account)
) STRICT, WITHOUT ROWID;

CREATE TABLE tags (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  tag        TEXT NOT NULL CHECK (length(tag) BETWEEN 1 AND 32),
  PRIMARY KEY (subject_id, tag)
) STRICT, WITHOUT ROWID;

CREATE TABLE consent_events (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  n          INTEGER NOT NULL,
  purpose    TEXT NOT NULL,
  recipient  TEXT NOT NULL,
  action     TEXT NOT NULL CHECK (action IN ('Given', 'Refused', 'Withdrawn', 'Expired')),
  at_ms      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  separate   INTEGER NOT NULL CHECK (separate IN (0, 1)),
  control    TEXT NOT NULL, -- what the person acted upon: page, keyword, unfollow, ...
  ends_ms    INTEGER NOT NULL, -- the last moment that was agreed to; 0: none was named
  account    TEXT NOT NULL,
  language   TEXT NOT NULL,
  PRIMARY KEY (subject_id, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE consent_state (
  purpose    TEXT NOT NULL,
  recipient  TEXT NOT NULL,
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  action     TEXT NOT NULL,
  at_ms      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  separate   INTEGER NOT NULL,
  control    TEXT NOT NULL,
  ends_ms    INTEGER NOT NULL,
  PRIMARY KEY (subject_id, purpose, recipient)
) STRICT, WITHOUT ROWID;
CREATE INDEX consent_state_by_purpose ON consent_state (purpose, recipient, action);

CREATE TABLE grants (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  account    TEXT NOT NULL,
  template   TEXT NOT NULL,
  remaining  INTEGER NOT NULL CHECK (remaining >= 0),
  voided_ms  INTEGER NOT NULL DEFAULT 0, -- since then only newer ones count
  PRIMARY KEY (subject_id, account, template)
) STRICT, WITHOUT ROWID;

CREATE TABLE events (
  dedupe      BLOB PRIMARY KEY CHECK (length(dedupe) = 32),
  subject_id  BLOB NOT NULL REFERENCES subjects (id),
  account     TEXT NOT NULL,
  kind        TEXT NOT NULL,
  key         TEXT NOT NULL,
  at_ms       INTEGER NOT NULL, -- platform clock
  received_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX events_by_subject ON events (subject_id, at_ms);

CREATE TABLE lead_state (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  model      TEXT NOT NULL,
  points     REAL NOT NULL,
  at_ms      INTEGER NOT NULL,
  PRIMARY KEY (subject_id, model)
) STRICT, WITHOUT ROWID;

CREATE TABLE lead_daily (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  model      TEXT NOT NULL,
  rule       TEXT NOT NULL,
  day        INTEGER NOT NULL, -- days since 1970 in Asia/Shanghai
  n          INTEGER NOT NULL,
  PRIMARY KEY (subject_id, model, rule, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
  id         TEXT PRIMARY KEY,
  spec       TEXT NOT NULL,
  state      TEXT NOT NULL CHECK (state IN ('Planning', 'Planned')),
  cursor     BLOB, -- last subject planned
  planned_ms INTEGER NOT NULL,
  audience   INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE deliveries (
  run_id      TEXT NOT NULL REFERENCES runs (id),
  subject_id  BLOB NOT NULL REFERENCES subjects (id),
  shard       INTEGER NOT NULL,
  state       TEXT NOT NULL CHECK (state IN ('excluded', 'pending', 'leased', 'sent', 'refused', 'failed', 'unknown')),
  reason      TEXT NOT NULL DEFAULT '',
  permit      BLOB,
  deadline_ms INTEGER,
  code        INTEGER NOT NULL DEFAULT 0,
  CHECK (state <> 'leased' OR (permit IS NOT NULL AND deadline_ms IS NOT NULL)),
  PRIMARY KEY (run_id, subject_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX deliveries_open ON deliveries (run_id, shard, subject_id) WHERE state = 'pending';
CREATE INDEX deliveries_live ON deliveries (subject_id, run_id) WHERE state = 'leased';
CREATE INDEX deliveries_leased ON deliveries (run_id, deadline_ms) WHERE state = 'leased';
CREATE UNIQUE INDEX deliveries_permit ON deliveries (permit) WHERE permit IS NOT NULL;

-- Messages that count towards frequency caps: leased ones too, until it is known that none left.
CREATE TABLE sends (
  subject_id BLOB NOT NULL REFERENCES subjects (id),
  run_id     TEXT NOT NULL,
  at_ms      INTEGER NOT NULL,
  PRIMARY KEY (subject_id, run_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE budgets (
  account TEXT PRIMARY KEY,
  tokens  REAL NOT NULL,
  at_ms   INTEGER NOT NULL
) STRICT;

CREATE TABLE transfers (
  id       TEXT PRIMARY KEY,
  spec     TEXT NOT NULL,
  state    TEXT NOT NULL CHECK (state IN ('Declared', 'Refused', 'Started', 'Complete', 'Stopped')),
  refusals TEXT NOT NULL DEFAULT '[]',
  excluded TEXT NOT NULL DEFAULT '{}',
  persons  INTEGER NOT NULL DEFAULT 0,
  newly    INTEGER NOT NULL DEFAULT 0,
  manifest TEXT
) STRICT;

CREATE TABLE transfer_rows (
  transfer_id TEXT NOT NULL REFERENCES transfers (id),
  subject_id  BLOB NOT NULL REFERENCES subjects (id),
  consent_ms  INTEGER NOT NULL,
  revision    INTEGER NOT NULL,
  PRIMARY KEY (transfer_id, subject_id)
) STRICT, WITHOUT ROWID;

-- Distinct people sent out in a year (P24 5, 7, 8), by commitment, so that erasing a person keeps the count.
CREATE TABLE transfer_persons (
  processor   TEXT NOT NULL,
  year        INTEGER NOT NULL, -- Asia/Shanghai
  sensitive   INTEGER NOT NULL CHECK (sensitive IN (0, 1)),
  commitment  BLOB NOT NULL,
  transfer_id TEXT NOT NULL,
  PRIMARY KEY (processor, year, sensitive, commitment)
) STRICT, WITHOUT ROWID;

CREATE TABLE view (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  body TEXT NOT NULL,
  hash TEXT NOT NULL
) STRICT;

-- The log: a Merkle tree (RFC 6962 hashing) over salted commitments. Erasing body and salt seals a leaf.
CREATE TABLE log (
  seq        INTEGER PRIMARY KEY, -- from 0, without gaps
  at_ms      INTEGER NOT NULL,
  kind       TEXT NOT NULL,
  subject_id BLOB,
  body       TEXT,
  salt       BLOB,
  leaf       BLOB NOT NULL CHECK (length(leaf) = 32)
) STRICT;

CREATE TABLE log_head (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  size   INTEGER NOT NULL,
  hashes BLOB NOT NULL -- compact range, 32 bytes each
) STRICT;
INSERT INTO log_head (id, size, hashes) VALUES (1, 0, x'');

-- What was appended stays: not even the store's own code can change it. Only erasure may empty a log entry's body and salt.
-- +goose StatementBegin
CREATE TRIGGER consent_events_no_update BEFORE UPDATE ON consent_events
BEGIN SELECT RAISE(ABORT, 'consent events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER consent_events_no_delete BEFORE DELETE ON consent_events
BEGIN SELECT RAISE(ABORT, 'consent events are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_no_delete BEFORE DELETE ON log
BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER log_seal_only BEFORE UPDATE ON log
WHEN NEW.seq <> OLD.seq OR NEW.at_ms <> OLD.at_ms OR NEW.kind <> OLD.kind OR NEW.leaf <> OLD.leaf OR NEW.subject_id IS NOT OLD.subject_id OR NEW.body IS NOT NULL OR NEW.salt IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'a log entry may only be sealed'); END;
-- +goose StatementEnd
