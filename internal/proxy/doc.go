// Package proxy is the data plane of one machine: it takes the requests of
// users and sends each to an instance.
//
// Requests are served by a path of its own (userConn, turn, tunnel) on the
// grammar of package h1. Of HTTP/2 net/http does the framing: to a turn each of
// its requests is a connection of HTTP/1.1 (stream), and so is each to an
// instance that speaks HTTP/2 alone (distant).
//
// It is a process of its own. What it serves is an immutable snapshot of all
// sites behind one atomic pointer; [Client.Route] replaces the part of one
// site, on disk first, and returns once no request can be claimed from the
// snapshot before. A request claims its endpoint by counting itself in and
// looking again whether the snapshot is still the current one, so that a drain
// can not miss it; it is sent outside of any lock.
//
// A proxy is replaced without losing a connection: the successor inherits the
// listening sockets ([Client.Upgrade], [Inherit]), and the one before finishes
// what it has. Until it is gone it still follows every change of routes, and
// its work is part of what [Client.Status] and [Client.Drain] tell.
package proxy
