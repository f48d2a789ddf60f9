-- Lists: indexes that are being put together here, each under a complete name of its own. The document
-- is what a push sends; it is nobody's blob before that.
CREATE TABLE lists (
    name        TEXT PRIMARY KEY,
    document    TEXT NOT NULL,
    changed     INTEGER NOT NULL
) WITHOUT ROWID;

-- The images of a list. Without a source an image is one of our own, which must then stay; with one it
-- is at that place, written with its transport.
CREATE TABLE list_members (
    list        TEXT NOT NULL REFERENCES lists (name) ON DELETE CASCADE,
    manifest    TEXT NOT NULL,
    source      TEXT,
    PRIMARY KEY (list, manifest)
) WITHOUT ROWID;
CREATE INDEX list_members_by_manifest ON list_members (manifest) WHERE source IS NULL;

-- Artifacts: manifests whose blobs are files and no layers. One that is 'fetching' has a name that nobody
-- looks for, until it takes the place of whatever had its own.
CREATE TABLE artifacts (
    name        TEXT PRIMARY KEY,
    manifest    TEXT NOT NULL,
    media_type  TEXT NOT NULL,
    document    TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('fetching', 'present')),
    owner_pid   INTEGER,
    owner_start INTEGER,
    changed     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX artifacts_unfinished ON artifacts (state) WHERE state = 'fetching';

-- The blobs that an artifact holds on to.
CREATE TABLE artifact_blobs (
    name        TEXT NOT NULL REFERENCES artifacts (name) ON UPDATE CASCADE ON DELETE CASCADE,
    digest      TEXT NOT NULL REFERENCES blobs (digest),
    PRIMARY KEY (name, digest)
) WITHOUT ROWID;
CREATE INDEX artifact_blobs_by_digest ON artifact_blobs (digest);
