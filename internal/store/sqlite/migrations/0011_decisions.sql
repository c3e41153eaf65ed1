-- +goose Up
-- What a transfer's last decision was made of: its name, the rule pack and the tier.
ALTER TABLE transfers ADD COLUMN decision TEXT NOT NULL DEFAULT '{}';
