//go:build race

package meter_test

// raced: the race detector has sync.Pool drop things at random.
const raced = true
