// Package sqltext cuts the text of SQL files into statements as the clients of
// PostgreSQL, MariaDB, MySQL and SQLite do: by their rules for quotes, comments
// and bodies of functions and triggers, without understanding the statements.
// It is pure, and loses nothing: what it returns joins up to what it was given.
package sqltext
