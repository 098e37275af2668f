// Package ledger is the controller's own persistence: releases, versioned
// configuration, leases, deployments with their journal, and claimed job runs.
//
// A call that returned without an error is durable: every commit has reached
// the disk (write-ahead log, synchronous=FULL). A call that returned an error,
// or did not return, has left either everything or nothing of itself behind.
//
// What a controller writes about a site carries the epoch it got from
// [Ledger.Acquire]. A controller that was replaced while it was paused finds a
// newer epoch in the ledger and its write refused with an error of kind
// [noon.Stale], in the same transaction that would have written.
//
// The SQL text is kept to what SQLite and PostgreSQL both understand: columns
// of TEXT and BIGINT, $N placeholders, RETURNING, ON CONFLICT. A row that is
// read to be written back is read by an UPDATE ... RETURNING, which locks it in
// both. What differs between engines is in sqlite.go.
//
// One process writes a ledger at a time; who opens it holds the lock of the
// data directory.
package ledger
