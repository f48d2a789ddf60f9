-- The blobs that an image has let go of on purpose, since they can come again from where they were seen. What
-- an image holds on to is never here.
CREATE TABLE discarded_blobs (
    manifest    TEXT NOT NULL REFERENCES images (manifest) ON DELETE CASCADE,
    digest      TEXT NOT NULL,
    PRIMARY KEY (manifest, digest)
) WITHOUT ROWID;
CREATE INDEX discarded_blobs_by_digest ON discarded_blobs (digest);
