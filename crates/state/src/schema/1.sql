-- Blobs of the content store. A row is written before the blob's first byte ('ingesting', with the
-- process that fetches it) and leaves after the file.
CREATE TABLE blobs (
    digest      TEXT PRIMARY KEY,
    size        INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('ingesting', 'present', 'removing')),
    owner_pid   INTEGER,
    owner_start INTEGER
) WITHOUT ROWID;

-- Directories below snapshots/<number>. A layer's key is its chain id, a container's its id.
CREATE TABLE snapshots (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    parent      INTEGER REFERENCES snapshots (number),
    driver      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('preparing', 'committed', 'active', 'removing')),
    owner_pid   INTEGER,
    owner_start INTEGER,
    diff_id     TEXT,
    size        INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX snapshots_by_parent ON snapshots (parent);

-- Images that are whole: manifest, config, and every layer unpacked.
CREATE TABLE images (
    manifest    TEXT PRIMARY KEY,
    media_type  TEXT NOT NULL,
    config      TEXT NOT NULL,
    chain       TEXT,
    size        INTEGER NOT NULL,
    created     INTEGER,
    pulled      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX images_by_config ON images (config);

-- The blobs that an image holds on to.
CREATE TABLE image_blobs (
    manifest    TEXT NOT NULL REFERENCES images (manifest) ON DELETE CASCADE,
    digest      TEXT NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;
CREATE INDEX image_blobs_by_digest ON image_blobs (digest);

-- Names that lead to images: 'docker.io/library/debian:13', and the same with '@sha256:…' for the
-- digests (of manifest or index) by which the image was found in a repository.
CREATE TABLE names (
    name        TEXT PRIMARY KEY,
    manifest    TEXT NOT NULL REFERENCES images (manifest) ON DELETE CASCADE
) WITHOUT ROWID;
CREATE INDEX names_by_manifest ON names (manifest);

-- Containers. `state` is what the last command knew; a 'running' row whose monitor is gone is
-- mended from its exit record by the next command.
CREATE TABLE containers (
    id            TEXT PRIMARY KEY,
    name          TEXT NOT NULL UNIQUE,
    state         TEXT NOT NULL
                  CHECK (state IN ('creating', 'created', 'starting', 'running', 'exited', 'removing')),
    owner_pid     INTEGER,
    owner_start   INTEGER,
    image         TEXT,
    image_name    TEXT NOT NULL,
    created       INTEGER NOT NULL,
    started       INTEGER,
    finished      INTEGER,
    pid           INTEGER,
    pid_start     INTEGER,
    monitor_pid   INTEGER,
    monitor_start INTEGER,
    boot          TEXT,
    exit_code     INTEGER,
    oom_killed    INTEGER NOT NULL DEFAULT 0,
    auto_remove   INTEGER NOT NULL DEFAULT 0,
    settings      TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX containers_by_state ON containers (state);
CREATE INDEX containers_by_image ON containers (image);

CREATE TABLE volumes (
    name        TEXT PRIMARY KEY,
    state       TEXT NOT NULL CHECK (state IN ('preparing', 'present', 'removing')),
    created     INTEGER NOT NULL,
    anonymous   INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;

CREATE TABLE container_volumes (
    container   TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    volume      TEXT NOT NULL REFERENCES volumes (name),
    PRIMARY KEY (container, volume)
) WITHOUT ROWID;

CREATE TABLE events (
    number      INTEGER PRIMARY KEY,
    at          INTEGER NOT NULL,
    type        TEXT NOT NULL,
    action      TEXT NOT NULL,
    object      TEXT NOT NULL,
    detail      TEXT NOT NULL
);
