// Package release builds, keeps, moves and verifies releases.
//
// A release is an OCI image whose digest names it everywhere. It is made from
// a clean checkout of one git commit and holds the files of the app, and in
// its labels the noon.yaml and the commit they came from. The same commit
// gives the same digest on any day: layers are uncompressed tars in one
// canonical form (see [writeTar]), because the output of a compressor may
// change from one version to the next.
//
// A [Store] is an OCI image layout in a directory. What is written becomes
// visible in one step, by the replacement of index.json; blobs are complete
// and durable before that. Several processes may use one store: writers
// prepare their blobs in a directory of their own under tmp/, which they hold
// a kernel lock on, and take the store's lock only to move them into place.
// Whoever dies leaves a directory without a lock, which [Open] and
// [Store.Prune] remove.
package release
