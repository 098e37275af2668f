// Package soak runs the real proxy, in processes of its own, under everything
// that can happen to it at once: releases are switched, the proxy replaces
// itself and is killed, instances crash and hang, users misbehave. Meanwhile
// requests come at fixed times, whatever the answers take, and each is sent
// exactly once.
//
// The package holds tests only. `go test` runs a short form of everything;
// `make soak` runs the numbers that docs/reference/soak.md tells.
package soak
