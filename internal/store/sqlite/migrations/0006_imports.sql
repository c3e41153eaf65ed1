-- +goose Up
ALTER TABLE consent_events ADD COLUMN evidence TEXT NOT NULL DEFAULT ''; -- of a consent collected elsewhere: where its proof is kept
