// Package sockets keeps the listening sockets of the proxy in a process that
// does nothing else, the holder, so that they outlive the proxy: while no proxy
// runs, connections wait in the kernel's queue instead of being refused.
//
// The holder (Main) binds the sockets and never accepts. It starts the proxy,
// the worker, with copies of them, sees its end at once (pidfd) and starts the
// next one. A worker tells the holder that it serves and hands in its copies
// (Announce); so the holder learns of successors that a worker has started
// itself, and a new holder gets the sockets that the one before had. Neither
// depends on the other: a worker goes on when the holder dies.
//
// Callers speak JSON over the holder's unix socket, one call a connection.
package sockets
