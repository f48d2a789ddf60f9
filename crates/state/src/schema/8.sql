-- What has become of a container beyond start and end. One that is 'starting' and `waiting` is between two
-- lives, with the process that waits as its owner; `pause_ms` is how long it last waited, `restarts` how
-- often its policy has started it. `stopped` says that the user ended the last life, `health` what the
-- last check found.
ALTER TABLE containers ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN restarts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN pause_ms INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN stopped INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE containers ADD COLUMN health TEXT;

CREATE INDEX events_by_time ON events (at);
