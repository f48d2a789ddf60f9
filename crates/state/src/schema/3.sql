-- Images whose root is mounted on the host. `users` counts who has asked for it and not given it back;
-- while it is 0, the mount is being made or taken away.
CREATE TABLE image_mounts (
    manifest    TEXT PRIMARY KEY REFERENCES images (manifest),
    users       INTEGER NOT NULL,
    boot        TEXT NOT NULL
) WITHOUT ROWID;
