-- What a volume is made of and by, in settings; whether something is being brought into it ('copying'
-- beside it, 'moving' into it); how many have asked for it to be mounted, and in which boot.
ALTER TABLE volumes ADD COLUMN settings TEXT NOT NULL DEFAULT '{}';
ALTER TABLE volumes ADD COLUMN filling TEXT NOT NULL DEFAULT 'no' CHECK (filling IN ('no', 'copying', 'moving'));
ALTER TABLE volumes ADD COLUMN users INTEGER NOT NULL DEFAULT 0;
ALTER TABLE volumes ADD COLUMN boot TEXT;
UPDATE volumes SET anonymous = 1 WHERE length(name) = 64 AND name NOT GLOB '*[^0-9a-f]*';
CREATE INDEX volumes_unfinished ON volumes (state) WHERE state <> 'present';
CREATE INDEX container_volumes_by_volume ON container_volumes (volume);

-- Images that containers show below their roots.
CREATE TABLE container_images (
    container   TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
    manifest    TEXT NOT NULL REFERENCES images (manifest),
    PRIMARY KEY (container, manifest)
) WITHOUT ROWID;
CREATE INDEX container_images_by_manifest ON container_images (manifest);

-- Secrets. The content lies in a file by the id and is nowhere here.
CREATE TABLE secrets (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    created     INTEGER NOT NULL,
    updated     INTEGER NOT NULL,
    settings    TEXT NOT NULL
) WITHOUT ROWID;

-- Pods, and which containers are in them.
CREATE TABLE pods (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    created     INTEGER NOT NULL,
    settings    TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE pod_containers (
    container   TEXT PRIMARY KEY REFERENCES containers (id) ON DELETE CASCADE,
    pod         TEXT NOT NULL REFERENCES pods (id)
) WITHOUT ROWID;
CREATE INDEX pod_containers_by_pod ON pod_containers (pod);
