-- Each command takes the whole schema apart when it opens the file, and each object in it is a hundredth of
-- the time of a `create`; a change writes a page for each index. What is left out here was asked for seldom, of
-- small tables, or is answered by another index.
DROP INDEX images_unfinished;
DROP INDEX networks_unfinished;
DROP INDEX artifacts_unfinished;

-- By state, and by image where all states are named.
DROP INDEX containers_by_state;
DROP INDEX containers_by_image;
CREATE INDEX containers_by_place ON containers (state, image);

-- What belongs to a container or a pod goes with it by `containers::delete` and `pods::delete`.
DROP TRIGGER container_connections;
DROP TRIGGER pod_connections;
