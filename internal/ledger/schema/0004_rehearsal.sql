-- Rehearsals of changes of stores, by what they were about. value is the whole
-- of one; status and begun are there to be searched by.

CREATE TABLE rehearsal (
    id          BIGINT PRIMARY KEY,
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    store       TEXT NOT NULL,
    digest      TEXT NOT NULL,
    status      TEXT NOT NULL,
    value       TEXT NOT NULL
);

CREATE INDEX rehearsal_subject ON rehearsal (app, environment, store, digest);
