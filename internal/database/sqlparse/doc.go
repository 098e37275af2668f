// Package sqlparse reads SQL with PostgreSQL's own grammar (libpg_query,
// PostgreSQL 17, as WebAssembly): statements with their places and parse trees,
// and expressions whose columns can be listed and renamed.
//
// The first call of a process compiles the grammar: 1 to 3 s and about 265 MB,
// which stay; another is compiled for every call that runs beside another. So
// it is called one call after the other, by commands that end, and for the
// controller by a process of its own: see package grammar. What calls nothing
// here pays nothing.
//
// Trees have the names of PostgreSQL's parse nodes and their fields, as in
// src/include/nodes/parsenodes.h and primnodes.h.
package sqlparse
