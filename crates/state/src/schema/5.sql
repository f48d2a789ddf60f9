-- What a list of images shows besides their names, in an index that has all of it, so that a list of
-- any length reads no configuration. `created` is what the configuration says of that.
ALTER TABLE images ADD COLUMN created TEXT;
UPDATE images SET created = iif(json_valid(config_json), config_json ->> '$.created', NULL);
CREATE INDEX images_listed ON images (state, pulled, manifest, config, size, created);
