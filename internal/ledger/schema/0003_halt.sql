-- What people have asked for that keeps users from a site. No row: nothing.

CREATE TABLE halt (
    app         TEXT NOT NULL,
    environment TEXT NOT NULL,
    value       TEXT NOT NULL,
    PRIMARY KEY (app, environment)
);
