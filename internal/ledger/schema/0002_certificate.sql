-- What proxies keep together: accounts with authorities and certificates with
-- their keys, sealed, by a path; and locks that end by themselves.

CREATE TABLE certificate_item (
    path     TEXT   NOT NULL PRIMARY KEY,
    modified BIGINT NOT NULL,
    value    TEXT   NOT NULL
);

CREATE TABLE certificate_lock (
    name   TEXT   NOT NULL PRIMARY KEY,
    holder TEXT   NOT NULL,
    until  BIGINT NOT NULL
);
