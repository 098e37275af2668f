// Package postgres changes the schema of a PostgreSQL database (12 or newer)
// while two releases of an app use it: one body of data, one view of it for
// each release.
//
//	e, err := postgres.Open(ctx, postgres.Config{URL: url, App: "shop", Role: "shop"})
//	p, err := e.Plan(ctx, set)                                      // nothing is changed
//	err = e.Reach(ctx, postgres.Target…)                            // see below
//	name, err := e.Role(ctx, "r42", p.To, password)                 // the release logs in as this
//
// [Engine.Reach] takes a version to a phase: [Expanded], both releases are
// served; [Contracted], only the new one is, and there is no way back;
// [Withdrawn], only the old one is. It is told where to be, not what to do:
// after a crash it is called again and goes on. Every stage leaves its record
// in the schema noon of the same database, in the transaction that carried the
// stage out, where the server allows one.
//
// # Versions
//
// Version N of an app's schema is the schema app_vN, a view for each table.
// Version 0 is the tables themselves. A session's version is decided by the
// role that it has logged in as: each release has a role of its own, whose
// search_path begins with the schema of its version. That holds behind a pooler
// in transaction mode, and needs no superuser. Sessions of other roles are taken
// by the first of the two schemas in their search_path.
//
// # What keeps the versions equal
//
// A column with two forms is two columns until the contraction. Triggers make
// each from the other, only where a statement has written one of them. A row
// that the old release writes and for which there is no new form does not fail:
// it is marked, and the contraction is refused while there is one. The package's
// [Plan] is data; it is made by [Make], which is pure.
package postgres
