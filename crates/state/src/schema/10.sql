-- Networks: what each is made of, in settings; the last address of each version that was given away, after
-- which the next is looked for.
CREATE TABLE networks (
    id          TEXT PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    state       TEXT NOT NULL CHECK (state IN ('preparing', 'present', 'removing')),
    created     INTEGER NOT NULL,
    settings    TEXT NOT NULL,
    last_ip4    BLOB,
    last_ip6    BLOB
) WITHOUT ROWID;
CREATE INDEX networks_unfinished ON networks (state) WHERE state <> 'present';

-- Connections of containers, and of pods, to networks. An address is a row's while it is not NULL: for a life
-- of the container, or, where it was asked for, as long as the connection is there. Addresses are their bytes
-- in the network's order, so that they sort.
CREATE TABLE endpoints (
    owner       TEXT NOT NULL,
    network     TEXT NOT NULL REFERENCES networks (id),
    place       INTEGER NOT NULL,
    interface   TEXT NOT NULL,
    mac         TEXT NOT NULL,
    ip4         BLOB,
    ip6         BLOB,
    fixed_ip4   INTEGER NOT NULL,
    fixed_ip6   INTEGER NOT NULL,
    settings    TEXT NOT NULL,
    PRIMARY KEY (owner, network),
    UNIQUE (owner, interface)
) WITHOUT ROWID;
CREATE INDEX endpoints_by_network ON endpoints (network);
CREATE UNIQUE INDEX endpoints_by_ip4 ON endpoints (network, ip4) WHERE ip4 IS NOT NULL;
CREATE UNIQUE INDEX endpoints_by_ip6 ON endpoints (network, ip6) WHERE ip6 IS NOT NULL;

-- The ports of the host's through which a container, or a pod, is reached now.
CREATE TABLE ports (
    owner           TEXT NOT NULL,
    protocol        TEXT NOT NULL,
    host_ip         TEXT NOT NULL,
    host_port       INTEGER NOT NULL,
    container_port  INTEGER NOT NULL,
    PRIMARY KEY (owner, protocol, host_ip, host_port, container_port)
) WITHOUT ROWID;
CREATE INDEX ports_by_host_port ON ports (host_port, protocol);

-- What belongs to a container or a pod goes with it.
CREATE TRIGGER container_connections AFTER DELETE ON containers BEGIN
    DELETE FROM endpoints WHERE owner = OLD.id;
    DELETE FROM ports WHERE owner = OLD.id;
END;
CREATE TRIGGER pod_connections AFTER DELETE ON pods BEGIN
    DELETE FROM endpoints WHERE owner = OLD.id;
    DELETE FROM ports WHERE owner = OLD.id;
END;
