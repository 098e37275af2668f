// Package noon is the vocabulary of noon: the nouns, the legal moves and the
// errors that every other package speaks of. It is pure: no clock, no
// randomness, no input or output; the standard library without os, net and
// database/sql.
//
// A deployment is a walk along a [Plan], an ordered list of [State]s. In each
// state every [Revision] (a release with its configuration) has a [Presence],
// and the pairs that may meet are its [Contact]s. A host is told what to hold
// for one [Site] by a [Desired] value and answers with an [Observed] one; the
// proxy is told by a [Routing] value. All three carry a [Fence], so that what
// an older controller says is refused.
package noon
