-- +goose Up
-- The texts that people were told stay as they are: notices under `meta`, and what was shown by its hash. Replacing a
-- row is no way round: it begins with an insert. A text from before there were hashes may get its own, once.
-- +goose StatementBegin
CREATE TRIGGER notices_no_insert BEFORE INSERT ON meta
WHEN NEW.key GLOB 'notice/*' AND EXISTS (SELECT 1 FROM meta WHERE key = NEW.key)
BEGIN SELECT RAISE(ABORT, 'notices are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER notices_no_update BEFORE UPDATE ON meta
WHEN (NEW.key GLOB 'notice/*' OR OLD.key GLOB 'notice/*') AND (NEW.key <> OLD.key OR json_extract(CAST(OLD.value AS TEXT), '$.Hash') IS NOT '')
BEGIN SELECT RAISE(ABORT, 'notices are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER notices_no_delete BEFORE DELETE ON meta
WHEN OLD.key GLOB 'notice/*'
BEGIN SELECT RAISE(ABORT, 'notices are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER shown_no_update BEFORE UPDATE ON shown
BEGIN SELECT RAISE(ABORT, 'what was shown is append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER shown_no_delete BEFORE DELETE ON shown
BEGIN SELECT RAISE(ABORT, 'what was shown is append-only'); END;
-- +goose StatementEnd

-- log_by_subject finds the entries about a person as well; a second index is a second write for each entry.
DROP INDEX log_of_subject;

-- When the notice was before somebody's eyes, whether or not they answered: once a day (Asia/Shanghai) for each viewer,
-- text and language. Answers name the number.
CREATE TABLE looks (
  subject_id BLOB NOT NULL REFERENCES subjects (id), -- whom the page is about
  guardian   BLOB NOT NULL CHECK (length(guardian) IN (0, 16)), -- who looked, by commitment; empty: the person themselves
  hash       BLOB NOT NULL REFERENCES shown (hash),
  language   TEXT NOT NULL,
  day        INTEGER NOT NULL, -- days since 1970 in Asia/Shanghai
  n          INTEGER NOT NULL,
  at_ms      INTEGER NOT NULL,
  revision   INTEGER NOT NULL,
  account    TEXT NOT NULL,
  PRIMARY KEY (subject_id, guardian, hash, language, day)
) STRICT, WITHOUT ROWID;
-- +goose StatementBegin
CREATE TRIGGER looks_no_update BEFORE UPDATE ON looks
BEGIN SELECT RAISE(ABORT, 'looks are append-only'); END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER looks_no_delete BEFORE DELETE ON looks
WHEN (SELECT wrapped FROM subjects WHERE id = OLD.subject_id) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'looks are append-only'); END;
-- +goose StatementEnd

-- How a guardian's word was verified, by whom, and over what; and the age that the person had told by then.
ALTER TABLE guardian_events ADD COLUMN method TEXT NOT NULL DEFAULT '';
ALTER TABLE guardian_events ADD COLUMN verifier TEXT NOT NULL DEFAULT '';
ALTER TABLE guardian_events ADD COLUMN evidence BLOB CHECK (length(evidence) = 32);
ALTER TABLE guardian_events ADD COLUMN age_band TEXT NOT NULL DEFAULT '';
