package h1

import (
	"errors"
	"fmt"
)

// ErrPreface says that the client speaks HTTP/2 with prior knowledge: the
// buffer begins with the preface of RFC 9113 3.4, of which nothing has been
// consumed.
var ErrPreface = errors.New("the connection begins with the HTTP/2 preface")

// Error is a message that is not forwarded.
type Error struct {
	Status int    // to answer with: 4xx or 5xx, 502 for an answer of an instance
	Reason string // one line for people: what is wrong, and where
}

// Error gives the reason with the status.
func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Reason, e.Status) }

// Statuses that this package decides on.
const (
	statusBad         = 400
	statusLongTarget  = 414
	statusExpectation = 417
	statusTooLarge    = 431
	statusNotHere     = 501
	statusBadGateway  = 502
	statusVersion     = 505
)

func bad(format string, args ...any) *Error { return fail(statusBad, format, args...) }

func fail(status int, format string, args ...any) *Error {
	return &Error{Status: status, Reason: fmt.Sprintf(format, args...)}
}

// cut shortens what a stranger sent to what fits a line of a log.
func cut(b []byte) []byte { return b[:min(len(b), 40)] }
