-- Containers whose root is mounted on the host, counted as `image_mounts` counts. A row goes with its
-- container.
CREATE TABLE container_mounts (
    container   TEXT PRIMARY KEY REFERENCES containers (id) ON DELETE CASCADE,
    users       INTEGER NOT NULL,
    boot        TEXT NOT NULL
) WITHOUT ROWID;
