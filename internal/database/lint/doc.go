// Package lint finds what a migration in SQL would do to users: which locks
// its statements take, whether they read or rewrite a table and for how long at
// that table's size, and whether they take away what a release that still runs
// uses. It works on PostgreSQL's own parse trees and on the catalogue of the
// database that the migration is for; statements before the one that is looked
// at are taken as done.
//
// [Check] gives findings, [Effects] what each statement does, found dangerous
// or not. What they claim is compared with a running server in the tests of
// this package, statement by statement.
package lint
