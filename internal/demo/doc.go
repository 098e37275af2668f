// Package demo shows noon at work on one machine: it runs the example shop in
// a temporary directory, lets customers buy in it, and meanwhile deploys, rolls
// back, tries releases that are broken, kills parts of noon and upgrades it.
// At the end it compares what customers were told with what the shop has.
//
// It uses noon as a user does: every part is a process of the real binary,
// what is measured is a command of the command line, from its start to its
// result. Nothing in it waits for a time to pass; it waits until something is
// seen.
package demo
