// Package meter counts what the proxy answers and keeps its access log.
//
// A [Series] counts the requests of one release for one route: status classes,
// latency, bytes, distinct sessions, failures. Counting is a handful of atomic
// additions and allocates nothing, so that it can always be on. A [Registry]
// holds the series and writes them in the text format of Prometheus. An [Entry]
// is one line of the access log; [Rules] decide which requests get one, and a
// [Log] writes them to a file without ever making a request wait.
//
// Nothing here reads the clock: times are passed in. Nothing here keeps what
// may be a secret: query values are not written, cookies never, and labels are
// names and path prefixes from the configuration, never what a client sent.
package meter
