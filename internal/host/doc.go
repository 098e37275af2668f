// Package host is the part of noon that runs on every machine: it makes what
// a [noon.Desired] names exist there, and tells what it sees.
//
// A [Host] keeps one [noon.Desired] per site on disk and works level-triggered:
// it compares what is with what shall be and takes the next step, so that it
// may be killed at any instant and goes on from what it finds. Sites are
// independent of one another. Instances are run by a [Runner] and outlive the
// host; requests reach them through a [Router], which is told of an instance
// only after that incarnation was ready, and told to leave it before it is
// asked to stop.
package host
