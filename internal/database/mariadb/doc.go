// Package mariadb changes the schema of a MariaDB database (10.6 or newer; MySQL
// from 8.0.23 by design) while two releases of an app use it: one body of data,
// one database of views for each release.
//
//	e, err := mariadb.Open(ctx, mariadb.Config{URL: url, App: "shop"})
//	p, err := e.Plan(ctx, set)                       // nothing is changed
//	err = e.Reach(ctx, mariadb.Order{Plan: &p, Phase: mariadb.Expanded}, nil)
//	name, err := e.Role(ctx, "r42", p.To, password)  // user and database of the release
//
// [Engine.Reach] takes a version to a phase: [Expanded], both releases are
// served; [Contracted], only the new one is; [Withdrawn], only the old one is.
// It is told where to be, not what to do: a statement that defines something
// commits by itself here, so each stage is written down before and after it,
// and each of its parts is looked for before it is carried out.
//
// # Versions
//
// The tables stay where they are, in the app's database; version 0 is the tables
// themselves. A release connects as a user of its own to a database of its own
// that holds a view for each table, with the names of its version. A column
// that only changes its name is one column with two names. The servers can not
// change a table and a view at once, so a column never changes its physical
// name: the views know it.
//
// # What keeps the versions equal
//
// A column with two forms is two columns until the contraction. Triggers before
// each row make one form from the other, if the value has changed, byte by byte.
// For an INSERT, and for columns that both versions have, the user who has
// logged in decides. A value that the old release writes and for which there is
// no new form does not fail: the row is marked in the column noon_pending, and
// the contraction is refused while there is one. A value of the new release that
// the old form does not hold is marked there too: that is what a withdrawal
// would lose.
package mariadb
