// Package cli is the command line of noon. Each command reads its flags, asks
// the controller through its HTTP API and prints the answer: text for people,
// JSON for machines. It decides nothing about deployments.
//
// What a command needs of its surroundings comes in as a [Process], what only
// the composition root can do as [Parts], so that commands can be run inside a
// test.
package cli

//go:generate go test . -run ^TestReference$ -update
