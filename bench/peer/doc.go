//go:build linux

// Package peer starts the proxies that are compared: noon's as users run it,
// and the others tuned as their manuals advise for throughput. How each is
// configured is in templates/ and in its file.
package peer
