// Package h1 is the grammar of HTTP/1.1: it parses heads of requests and
// answers and decodes chunked bodies, in place and without allocating, and
// rejects every message that two servers could understand in two ways.
//
// It does no input or output. The caller reads into a buffer, asks Parse until
// a head is whole, and stops growing the buffer at a size of its choice.
package h1
