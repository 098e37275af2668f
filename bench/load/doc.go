//go:build linux

// Package load sends requests to a proxy and times the answers.
//
// For plain HTTP/1.1 it is one thread with an event loop of its own, so that it
// leaves the machine to what is measured. Every answer is checked: the status,
// and the length of its body.
package load
