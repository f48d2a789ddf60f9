-- The repositories that were seen to have a blob, since it came from there or was sent there. A hint for
-- the next push to the same registry; registries forget, so it is never a promise.
CREATE TABLE blob_places (
    digest      TEXT NOT NULL,
    repository  TEXT NOT NULL,
    seen        INTEGER NOT NULL,
    PRIMARY KEY (digest, repository)
) WITHOUT ROWID;
CREATE INDEX blob_places_by_age ON blob_places (seen);

INSERT OR IGNORE INTO blob_places (digest, repository, seen)
SELECT image_blobs.digest, substr(names.name, 1, instr(names.name, '@') - 1), images.pulled
FROM image_blobs JOIN names USING (manifest) JOIN images USING (manifest)
WHERE images.state = 'present' AND names.name LIKE '%@%' AND image_blobs.digest <> images.manifest;
