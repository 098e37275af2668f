// Package tui draws what noon has to say for people: pages of text with
// aligned tables, the live view of a deployment, questions. It is the only
// package that knows terminals. What it draws depends only on what it is
// given: the clock, the width and whether to use colours come from the caller.
package tui
