-- +goose Up
-- Whether the last look for people of a transfer found nobody left. Only then it may be complete. One that was
-- under way before is looked at once more: its Job asks again.
ALTER TABLE transfers ADD COLUMN done INTEGER NOT NULL DEFAULT 0 CHECK (done IN (0, 1));
