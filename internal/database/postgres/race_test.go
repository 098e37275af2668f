//go:build race

package postgres_test

// raced says that the tests run with the race detector.
const raced = true
