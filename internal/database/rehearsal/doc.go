// Package rehearsal runs a change of a database on a copy of it, under load,
// and measures what it does: which locks each statement takes and for how long,
// which tables are rewritten, how long users wait, on whose data it fails.
//
// Production is read and never written. Of a copy nothing is left: it is
// dropped when the rehearsal ends, however it ends, and one that a killed
// process left is found by its name and dropped by the next rehearsal of the
// same store.
package rehearsal
