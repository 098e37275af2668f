// Package migration runs migrations that are written in SQL against
// PostgreSQL, MariaDB, MySQL and SQLite, in the phases of a deployment: what
// the new release needs is added, data are brought over in batches, and what
// only the old release needed is removed at the end.
//
// [Read] reads a directory of them into a [Set], which is plain data. [Open]
// gives the [Database] that they are run against:
//
//	db, err := migration.Open(ctx, "postgres://…", migration.Options{Release: "r42"})
//	err = db.Reach(ctx, set, migration.Expanded, nil)   // before the new release starts
//	err = db.Reach(ctx, set, migration.Migrated, nil)   // before it gets users
//	err = db.Reach(ctx, set, migration.Contracted, nil) // when nothing of the old one is left
//	err = db.Rollback(ctx, set, 6, migration.Allow{}, nil)
//
// Each call looks at what was done and does the rest: after a crash of noon or
// of the server, at any moment, the same call goes on. What was done is in a
// table of the same database (noon.migration, elsewhere noon_migration). Where
// the server can undo definitions of tables, a section and its record are one
// transaction; where it can not, every statement is recorded before and after,
// and after a crash the database is asked whether it happened.
package migration
