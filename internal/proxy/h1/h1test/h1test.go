// Package h1test holds messages that servers have been known to understand in
// different ways, and what noon makes of each: package h1 and the proxy are
// tested with the same ones.
package h1test

import (
	"fmt"
	"slices"
)

// Site is the host that the requests ask, unless they say otherwise.
const Site = "shop.example.com"

// Case is what a client sends on a connection, and what is to become of it.
type Case struct {
	Name string
	Raw  []byte

	// Status is that of the rejection, after which the connection ends, or 0
	// if the request is forwarded.
	Status int
	// InBody says that the head is good and the body is what is rejected: the
	// answer may come from the instance then, but the connection ends and the
	// instance sees no end of the body.
	InBody bool
	// Preface says that the connection is one of HTTP/2.
	Preface bool

	// Of a request that is forwarded:
	Host string   // it asks for
	Body string   // decoded
	Rest string   // what follows it: the next request
	Gone []string // fields that do not reach the instance
}

// Answer is what an instance sends, and what is to become of it.
type Answer struct {
	Name   string
	Raw    []byte
	Head   bool   // the method of the request was HEAD
	Reject bool   // with 502
	Body   string // decoded
	Rest   string // what follows the answer
	Close  bool   // the connection to the instance is not used again
}

// Cases gives all cases; each call makes new ones.
func Cases() []Case {
	return slices.Concat(
		good(), pipelined(),
		requestLines(), methods(), versions(), blankLines(), targets(), authorities(),
		hosts(), names(), values(), folding(), bareLines(), limits(),
		lengths(), transfers(), conflicts(),
		chunkSizes(), chunkEnds(), extensions(), trailers(),
		connections(), lookalikes(), upgrades(), expectations(), prefaces(),
	)
}

// raw is a request as it stands.
func raw(name string, status int, message string) Case {
	return Case{Name: name, Raw: []byte(message), Status: status, Host: Site}
}

// get is a GET with more fields.
func get(name string, status int, fields string) Case {
	return raw(name, status, "GET / HTTP/1.1\r\nHost: "+Site+"\r\n"+fields+"\r\n")
}

// line is a GET with another request line.
func line(name string, status int, requestLine string) Case {
	return raw(name, status, requestLine+"\r\nHost: "+Site+"\r\n\r\n")
}

// post is a POST with more fields and what follows them.
func post(name string, status int, fields, rest string) Case {
	return raw(name, status, "POST /submit HTTP/1.1\r\nHost: "+Site+"\r\n"+fields+"\r\n"+rest)
}

// chunked is a POST with a chunked body as it is sent.
func chunked(name string, status int, body string) Case {
	c := post(name, status, "Transfer-Encoding: chunked\r\n", body)
	c.InBody = status != 0
	return c
}

// gone says which fields do not reach the instance.
func (c Case) gone(names ...string) Case { c.Gone = names; return c }

// body says what the body is.
func (c Case) body(body string) Case { c.Body = body; return c }

// host says who is asked.
func (c Case) host(host string) Case { c.Host = host; return c }

// every makes a case of each value.
func every(name string, values []string, build func(name, value string) Case) []Case {
	var cases []Case
	for _, v := range values {
		cases = append(cases, build(fmt.Sprintf("%s %.40q", name, v), v))
	}
	return cases
}
