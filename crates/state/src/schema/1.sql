-- Blobs of the content store. A row is written before the blob's first byte ('ingesting') and leaves
-- after the file. What nothing refers to any more is 'removing', with the process that removes it.
CREATE TABLE blobs (
    digest      TEXT PRIMARY KEY,
    size        INTEGER NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('ingesting', 'present', 'removing')),
    owner_pid   INTEGER,
    owner_start INTEGER
) WITHOUT ROWID;
CREATE INDEX blobs_removing ON blobs (state) WHERE state = 'removing';

-- Directories below snapshots/<number>. The key says what is in it: 'diff:<diff id>' a layer that
-- fits into any chain, 'chain:<chain id>' one that does not, 'tree:<chain id>' a whole stack of
-- layers, 'container:<id>' a container's changes, 'removing:<number>' nothing any more,
-- 'removing:container:<id>' what is left of a container whose monitor takes its files away.
CREATE TABLE snapshots (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    key         TEXT NOT NULL UNIQUE,
    parent      INTEGER REFERENCES snapshots (number),
    driver      TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('preparing', 'committed', 'active', 'removing')),
    owner_pid   INTEGER,
    owner_start INTEGER,
    size        INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX snapshots_by_parent ON snapshots (parent) WHERE parent IS NOT NULL;
CREATE INDEX snapshots_unfinished ON snapshots (state) WHERE state IN ('preparing', 'removing');

-- Images. One that is 'pulling' is nobody's yet: it holds on to what has come, for the process that
-- fetches it or, if that died, for the next attempt.
CREATE TABLE images (
    manifest    TEXT PRIMARY KEY,
    media_type  TEXT NOT NULL,
    config      TEXT NOT NULL,
    config_json TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('pulling', 'present')),
    wanted      TEXT NOT NULL,
    owner_pid   INTEGER,
    owner_start INTEGER,
    boot        TEXT,
    size        INTEGER NOT NULL,
    pulled      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX images_by_config ON images (config);
CREATE INDEX images_unfinished ON images (state) WHERE state = 'pulling';

-- The blobs that an image holds on to.
CREATE TABLE image_blobs (
    manifest    TEXT NOT NULL REFERENCES images (manifest) ON DELETE CASCADE,
    digest      TEXT NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;
CREATE INDEX image_blobs_by_digest ON image_blobs (digest);

-- The snapshots that an image stands on, the lowest at position 0. Fewer than layers where several
-- layers are merged into one tree. Below position 0 are copies of all its files, with other owners.
CREATE TABLE image_layers (
    manifest    TEXT NOT NULL REFERENCES images (manifest) ON DELETE CASCADE,
    position    INTEGER NOT NULL,
    snapshot    INTEGER NOT NULL REFERENCES snapshots (number),
    PRIMARY KEY (manifest, position)
) WITHOUT ROWID;
CREATE INDEX image_layers_by_snapshot ON image_layers (snapshot);

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
