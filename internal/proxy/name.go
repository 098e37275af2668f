package proxy

import (
	"bytes"
	"math/rand/v2"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// What a request is called by, in an instance as in the access log.

// names are those that noon has given a request itself.
type names struct {
	id       [32]byte
	trace    [55]byte
	numbered bool
	traced   bool
}

// number gives the request's id, the same for every instance it is sent to.
func (t *turn) number() []byte {
	n := &t.names
	if !n.numbered {
		n.numbered = true
		t.proxy.ids.append(n.id[:0])
	}
	return n.id[:]
}

// traceParent is the trace that begins with the request.
func (t *turn) traceParent() []byte {
	n := &t.names
	if !n.traced {
		n.traced = true
		appendTraceParent(n.trace[:0])
	}
	return n.trace[:]
}

// maxRequestID is the longest id that is believed, in bytes.
const maxRequestID = 128

func validRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return true
}

// appendTraceParent begins a trace that nobody has decided to sample.
func appendTraceParent(b []byte) []byte {
	b = append(b, "00-"...)
	b = appendHex(appendHex(b, rand.Uint64()|1), rand.Uint64()) //nolint:gosec // an id, no secret
	b = appendHex(append(b, '-'), rand.Uint64()|1)              //nolint:gosec // the same
	return append(b, "-00"...)
}

// called gives the id and the trace that the request was sent on with.
func (t *turn) called() (id, trace []byte) {
	if id = t.req.Value(h1.RequestID); !validRequestID(view(id)) {
		id = nil
	}
	if id == nil && t.names.numbered {
		id = t.names.id[:]
	}
	if v := t.req.Value(h1.TraceParent); validTraceParent(v) {
		trace = v
	} else if t.names.traced {
		trace = t.names.trace[:]
	}
	if trace != nil {
		trace = trace[3:35]
	}
	return id, trace
}

// validTraceParent checks the form of W3C Trace Context, section 3.2.
func validTraceParent(v []byte) bool {
	const form = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	if len(v) < len(form) || v[0] == 'f' && v[1] == 'f' || v[0] == '0' && v[1] == '0' && len(v) > len(form) {
		return false
	}
	for i := range len(form) {
		c := v[i]
		if form[i] == '-' {
			if c != '-' {
				return false
			}
			continue
		}
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(bytes.Trim(v[3:35], "0")) > 0 && len(bytes.Trim(v[36:52], "0")) > 0
}

func appendHex(b []byte, v uint64) []byte {
	const digits = "0123456789abcdef"
	for shift := 60; shift >= 0; shift -= 4 {
		b = append(b, digits[v>>shift&15])
	}
	return b
}
