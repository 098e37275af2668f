//go:build !race

package soak_test

// raceFactor is how much more memory the race detector needs.
const raceFactor = 1
