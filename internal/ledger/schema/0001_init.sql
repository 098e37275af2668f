-- One text for SQLite and PostgreSQL: only TEXT and BIGINT. Times are BIGINT
-- nanoseconds since 1970 UTC, structured values JSON in TEXT.

CREATE TABLE counter (
    name  TEXT   NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);

CREATE TABLE seal (
    name  TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE release (
    app      TEXT   NOT NULL,
    number   BIGINT NOT NULL,
    digest   TEXT   NOT NULL,
    value    TEXT   NOT NULL,
    manifest TEXT   NOT NULL,
    pruned   BIGINT NOT NULL DEFAULT 0,
    PRIMARY KEY (app, number),
    UNIQUE (app, digest)
);

CREATE TABLE config_version (
    app         TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    created     BIGINT NOT NULL,
    created_by  TEXT   NOT NULL,
    PRIMARY KEY (app, environment, version)
);

-- Only what a version changed is stored; it is never written again.
CREATE TABLE config_value (
    app         TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    name        TEXT   NOT NULL,
    version     BIGINT NOT NULL,
    kind        TEXT   NOT NULL CHECK (kind IN ('plain', 'secret', 'unset')),
    value       TEXT   NOT NULL,
    PRIMARY KEY (app, environment, name, version),
    FOREIGN KEY (app, environment, version) REFERENCES config_version (app, environment, version)
);

CREATE TABLE lease (
    app         TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    epoch       BIGINT NOT NULL,
    generation  BIGINT NOT NULL,
    holder      TEXT   NOT NULL,
    acquired    BIGINT NOT NULL,
    PRIMARY KEY (app, environment)
);

CREATE TABLE deployment (
    id          BIGINT NOT NULL PRIMARY KEY,
    app         TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    status      TEXT   NOT NULL,
    created     BIGINT NOT NULL,
    plan        TEXT   NOT NULL,
    value       TEXT   NOT NULL
);

CREATE INDEX deployment_site ON deployment (app, environment, id);

CREATE INDEX deployment_status ON deployment (status, id);

CREATE TABLE event (
    seq        BIGINT NOT NULL PRIMARY KEY,
    deployment BIGINT NOT NULL REFERENCES deployment (id),
    epoch      BIGINT NOT NULL,
    value      TEXT   NOT NULL
);

CREATE INDEX event_deployment ON event (deployment, seq);

CREATE TABLE job_run (
    app         TEXT   NOT NULL,
    environment TEXT   NOT NULL,
    job         TEXT   NOT NULL,
    due         BIGINT NOT NULL,
    claimed     BIGINT NOT NULL,
    finished    BIGINT NOT NULL DEFAULT 0,
    outcome     TEXT   NOT NULL DEFAULT '',
    PRIMARY KEY (app, environment, job, due)
);
