// Package pgcatalog reads what a PostgreSQL server (12 or newer) holds: tables
// with their sizes, columns, constraints, indexes and triggers, and what
// depends on each column. The result is plain, sorted data: two reads of an
// unchanged database are equal, so that a plan made from one can be compared
// with what is there when the plan is carried out.
//
// Read asks a fixed number of questions, however many tables there are. It
// takes no lock that a writer waits for; it waits itself where somebody holds
// ACCESS EXCLUSIVE.
package pgcatalog
