// Package e2e drives the real binary from outside, as people and init systems
// do: it deploys a small app under continuous load and kills every part of
// noon at every point. Everything here is a test; see main_test.go for how the
// binary comes to be and machine_test.go for what a test has in hand.
package e2e
