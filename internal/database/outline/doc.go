// Package outline tells what a database is made of, without its data: enough to
// see what a migration of the app has done to it.
package outline
