// Package dbtest starts real database servers for tests: from the programs
// that are installed or that scripts/servers has fetched, on free ports of the
// loopback address, with data of their own in a new directory, as a user without
// privileges, and gone when the test process is.
package dbtest
