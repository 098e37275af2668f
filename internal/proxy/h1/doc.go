// Package h1 is the grammar of HTTP/1.1: it parses heads of requests and
// answers and decodes chunked bodies, in place and without allocating, and
// rejects every message that two servers could understand in two ways.
//
// It does no input or output. The caller reads into a buffer, asks Parse until
// a head is whole, and stops growing the buffer at a size of its choice; what
// it answers then is 431.
//
// # What is rejected
//
// With 400, or another status where one is named; answers of instances always
// with 502:
//
//   - CR without LF and LF without CR, in heads, lines of chunks and trailers
//     (RFC 9112 2.2); more than [MaxBlank] empty lines before a request
//   - a request line that is not method SP target SP version with one SP each
//     (RFC 9112 3), a method that is no token (RFC 9110 9.1), a method and a
//     target of more than [MaxLine] bytes: 414 (RFC 9110 4.1)
//   - versions other than HTTP/1.0 and HTTP/1.1: 505 (RFC 9110 2.5); the
//     preface of HTTP/2 is [ErrPreface] (RFC 9113 3.4)
//   - targets with a fragment, control bytes or bytes beyond ASCII, targets
//     that are no path, no http or https address, not * for OPTIONS and not
//     host:port for CONNECT (RFC 9112 3.2), and paths with a "%" that no octet
//     follows (RFC 3986 2.1)
//   - a user in an authority (RFC 9110 4.2.4); hosts that are no name of letters,
//     digits, "-", ".", "_", "~", no IPv6 address in brackets, or empty (RFC 9110
//     4.2.1); ports that are no number up to 65535
//   - HTTP/1.1 without Host, more than one Host, and a Host that is none, also
//     beside an absolute target, which otherwise wins (RFC 9112 3.2, 3.2.2)
//   - folded fields (RFC 9112 5.2), blanks before a name or its colon (RFC 9112
//     5.1), names that are no token, values with control bytes but HTAB (RFC
//     9110 5.5); more than [MaxFields] fields, or 32 options of Connection: 431
//   - Content-Length that is not digits alone, is above 2^63-1, is a list or
//     comes twice (RFC 9110 8.6; an answer may repeat the same number)
//   - Transfer-Encoding that is not chunked alone, comes twice, in HTTP/1.0, or
//     with Content-Length (RFC 9112 6.1); another single coding is 501
//   - expectations other than 100-continue: 417 (RFC 9110 10.1.1)
//   - sizes of chunks that are not 1 to 16 hexadecimal digits, above 2^63-1 or
//     followed by anything but CRLF or ";", and data that CRLF does not follow
//     (RFC 9112 7.1); extensions (RFC 9112 7.1.1) and trailers (RFC 9112 7.1.2)
//     above their limits: 431
//
// # What does not go on
//
// Fields are classified by [Kind]; those of the kind [Hop] end here. A field
// that Connection names is one of them only if it is of the kind [Other]: no
// client can strip Host, Content-Length, Cookie, Authorization, X-Forwarded-For
// or any other field with a kind of its own (RFC 9110 7.6.1 lets a sender name
// only what is meant for the next hop). Names that differ from a known one in
// punctuation only, such as X_Forwarded_For, are treated as what a server would
// take them for, or end here.
//
// Of trailer fields only those of the kind Other are kept (RFC 9110 6.5.1).
// Extensions of chunks are never passed on.
package h1
