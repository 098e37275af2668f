// Package change reads the declared operations by which a release changes the
// schema of its database: what the columns, tables and constraints shall be,
// and by which expressions the old and the new form of a value are made from
// each other (up and down). It is pure: nothing here knows a server.
//
// A release's files are read in the order of their names and make one [Set].
// A file is YAML or JSON:
//
//	operations:
//	  - alter_column: {table: users, column: age, type: integer, up: age::integer, down: age::text}
//	  - rename_column: {table: users, from: mail, to: email}
//
// The format holds that of pgroll, so its files are read as they are.
package change
