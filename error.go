package noon

import (
	"encoding/json"
	"errors"
	"strings"
)

// ErrorKind tells whose turn it is; the CLI's exit codes and the API's status
// codes follow from it.
type ErrorKind string

// The kinds of errors.
const (
	Invalid     ErrorKind = "invalid"     // what was asked for is wrong; nothing was changed
	NotFound    ErrorKind = "not_found"   // it does not exist
	Conflict    ErrorKind = "conflict"    // something else is in the way now
	Stale       ErrorKind = "stale"       // a newer controller or snapshot has taken over
	Failure     ErrorKind = "failed"      // it was tried and did not work; see what was done about it
	Unavailable ErrorKind = "unavailable" // a part of noon can not be reached
	Internal    ErrorKind = "internal"    // a bug in noon or a broken machine
)

// HTTPStatus is the status code that an answer with this kind of error has,
// of RFC 9110, section 15.
func (k ErrorKind) HTTPStatus() int {
	switch k {
	case Invalid:
		return 400 // Bad Request
	case NotFound:
		return 404 // Not Found
	case Conflict, Stale:
		return 409 // Conflict
	case Failure:
		return 422 // Unprocessable Content
	case Unavailable:
		return 503 // Service Unavailable
	default:
		return 500 // Internal Server Error
	}
}

// Error is an error that its reader can act on.
type Error struct {
	Kind    ErrorKind // "" is read as Internal
	Op      string    // what noon was doing: "unpack release"
	Subject string    // what it concerns: "r42", "noon.yaml:3:5"
	Err     error     // the cause
	Hint    string    // what to do, a full sentence or two
}

// Error gives "unpack release r42: cause". The hint is left to the reader's
// face: it is shown on a line of its own.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Subject != "" {
		if e.Op != "" {
			b.WriteString(" ")
		}
		b.WriteString(e.Subject)
	}
	if e.Err != nil {
		if b.Len() > 0 {
			b.WriteString(": ")
		}
		b.WriteString(e.Err.Error())
	}
	return b.String()
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

type errorJSON struct {
	Kind    ErrorKind `json:"kind"`
	Op      string    `json:"op,omitempty"`
	Subject string    `json:"subject,omitempty"`
	Cause   string    `json:"cause,omitempty"`
	Hint    string    `json:"hint,omitempty"`
}

// MarshalJSON writes the error so that another process can show it, with the
// hint of a cause if it has none of its own.
func (e *Error) MarshalJSON() ([]byte, error) {
	j := errorJSON{Kind: e.Kind, Op: e.Op, Subject: e.Subject, Hint: HintOf(e)}
	if e.Err != nil {
		j.Cause = e.Err.Error()
	}
	return json.Marshal(j)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (e *Error) UnmarshalJSON(data []byte) error {
	var j errorJSON
	if err := json.Unmarshal(data, &j); err != nil {
		return err
	}
	*e = Error{Kind: j.Kind, Op: j.Op, Subject: j.Subject, Hint: j.Hint}
	if j.Cause != "" {
		e.Err = errors.New(j.Cause)
	}
	return nil
}

// KindOf returns the kind of the first Error in err's tree, Internal if there
// is none.
func KindOf(err error) ErrorKind {
	var e *Error
	if errors.As(err, &e) && e.Kind != "" {
		return e.Kind
	}
	return Internal
}

// HintOf returns the first hint in err's chain, "" if there is none.
func HintOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Hint != "" {
			return e.Hint
		}
		err = e.Err
	}
	return ""
}

// AsError returns err as an Error: the first in its tree with the outer text
// kept, or a new one of kind Internal.
func AsError(err error) *Error {
	if err == nil {
		return nil
	}
	if e, ok := err.(*Error); ok { //nolint:errorlint // only an outermost Error may be passed on unchanged
		return e
	}
	return &Error{Kind: KindOf(err), Err: errors.New(err.Error()), Hint: HintOf(err)}
}
