-- +goose Up
-- What guardians said about a person goes when the person is erased, and at no other time.
DROP TRIGGER guardian_events_no_delete;
-- +goose StatementBegin
CREATE TRIGGER guardian_events_no_delete BEFORE DELETE ON guardian_events
WHEN (SELECT wrapped FROM subjects WHERE id = OLD.subject_id) IS NOT NULL
BEGIN SELECT RAISE(ABORT, 'guardian events are append-only'); END;
-- +goose StatementEnd
