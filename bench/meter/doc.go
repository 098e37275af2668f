//go:build linux

// Package meter reads what the kernel knows of a peer's processes: CPU time to
// the nanosecond, user instructions where the machine counts them, and memory.
package meter
