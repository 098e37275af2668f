package h1_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/h1/h1test"
)

// What net/http and this package understand differently, although both accept
// it:
//   - net/http takes the Host field out of the header, and the scheme and the
//     authority of an absolute target out of the path;
//   - it takes Transfer-Encoding, and Trailer of a chunked body, out of the header,
//     and Content-Length of an answer that has it twice is once there;
//   - of trailer fields it keeps those that Trailer announced, and of the rest
//     all as well, also those that may not be there;
//   - of an answer it drops "Connection: close";
//   - an answer to which no length applies (204, 1xx) keeps its Content-Length.
//
// And what it rejects although it is good: a Trailer that announces a field
// that may not be there, which is not kept here when it comes.

// agree says what net/http sees in another way in a request that is accepted.
func agree(raw []byte, m message) error {
	r := &m.request
	theirs, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(trimBlankLines(raw))))
	if err != nil && strings.Contains(err.Error(), "bad trailer key") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("net/http rejects it: %w", err)
	}
	uri := string(r.Target)
	if theirs.Method != string(r.Method) || theirs.RequestURI != uri {
		return fmt.Errorf("net/http sees %s %q, not %s %q", theirs.Method, theirs.RequestURI, r.Method, r.Target)
	}
	if theirs.Host != string(r.Host) {
		return fmt.Errorf("net/http sees the host %q, not %q", theirs.Host, r.Host)
	}
	if theirs.URL.RawQuery != string(r.Query) || !r.Connect && !r.Asterisk && !samePath(theirs, r) {
		return fmt.Errorf("net/http sees %q and %q, not %q and %q", theirs.URL.EscapedPath(), theirs.URL.RawQuery, r.Path, r.Query)
	}
	if theirs.ProtoMinor != r.Minor || theirs.Close != r.Close && r.Minor == 1 {
		return fmt.Errorf("net/http sees HTTP/1.%d, close %v, not 1.%d, %v", theirs.ProtoMinor, theirs.Close, r.Minor, r.Close)
	}
	if theirs.ContentLength != r.Length {
		return fmt.Errorf("net/http sees the length %d, not %d", theirs.ContentLength, r.Length)
	}
	if err := sameHeader(theirs.Header, r.Fields, "Host", "Transfer-Encoding", "Trailer"); err != nil {
		return err
	}
	body, err := io.ReadAll(theirs.Body)
	if m.whole && (err != nil || string(body) != m.body) {
		return fmt.Errorf("net/http sees the body %q, %w, not %q", body, err, m.body)
	}
	return nil
}

func samePath(theirs *http.Request, r *h1.Request) bool {
	ours := string(r.Path)
	if theirs.URL.Path == "" {
		return ours == "/"
	}
	// EscapedPath writes some characters anew; RawPath and Path say what was read.
	decoded, err := unescape(ours)
	return err == nil && theirs.URL.Path == decoded
}

func unescape(path string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] != '%' {
			b.WriteByte(path[i])
			continue
		}
		var c byte
		if _, err := fmt.Sscanf(path[i+1:i+3], "%02x", &c); err != nil {
			return "", err
		}
		b.WriteByte(c)
		i += 2
	}
	return b.String(), nil
}

func sameHeader(theirs http.Header, ours []h1.Field, but ...string) error {
	want := http.Header{}
	for _, f := range ours {
		if name := textproto.CanonicalMIMEHeaderKey(string(f.Name)); !slices.Contains(but, name) {
			want[name] = append(want[name], string(f.Value))
		}
	}
	theirs = theirs.Clone()
	for _, name := range but {
		theirs.Del(name)
	}
	if fmt.Sprint(theirs) != fmt.Sprint(want) {
		return fmt.Errorf("net/http sees the fields %q, not %q", theirs, want)
	}
	return nil
}

// trimBlankLines does what net/http leaves to its server.
func trimBlankLines(raw []byte) []byte {
	for range h1.MaxBlank {
		raw = bytes.TrimPrefix(raw, []byte("\r\n"))
	}
	return raw
}

// agreeAnswer says what net/http sees in another way in an answer that is
// accepted.
func agreeAnswer(raw []byte, head bool, r *h1.Response, n int) error {
	method := http.MethodGet
	if head {
		method = http.MethodHead
	}
	theirs, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(raw)), &http.Request{Method: method})
	if err != nil && strings.Contains(err.Error(), "bad trailer key") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("net/http rejects it: %w", err)
	}
	defer theirs.Body.Close()
	if theirs.StatusCode != r.Status || theirs.ProtoMinor != r.Minor {
		return fmt.Errorf("net/http sees HTTP/1.%d %d, not 1.%d %d", theirs.ProtoMinor, theirs.StatusCode, r.Minor, r.Status)
	}
	if err := sameHeader(theirs.Header, r.Fields, "Transfer-Encoding", "Trailer", "Content-Length", "Connection"); err != nil {
		return err
	}
	body, err := io.ReadAll(theirs.Body)
	ours := string(raw[n:])
	switch {
	case r.Length == h1.LengthChunked:
		var done bool
		if ours, _, _, done, _ = decode(raw[n:], len(raw)); !done {
			return nil
		}
	case r.Length >= 0 && r.Length > int64(len(ours)):
		return nil
	case r.Length >= 0:
		ours = ours[:r.Length]
	}
	if err != nil || string(body) != ours {
		return fmt.Errorf("net/http sees the body %q, %w, not %q", body, err, ours)
	}
	return nil
}

// What is accepted here net/http accepts too, and sees the same in it.
func TestAgreesWithNetHTTP(t *testing.T) {
	t.Parallel()
	accepted := 0
	for _, c := range h1test.Cases() {
		m := read(c.Raw)
		if m.err != nil || !m.whole {
			continue
		}
		accepted++
		if err := agree(c.Raw, m); err != nil {
			t.Errorf("%s: %q: %v", c.Name, c.Raw, err)
		}
	}
	var r h1.Response
	for _, a := range h1test.Answers() {
		n, err := r.Parse(a.Raw, a.Head)
		if err != nil || n == 0 {
			continue
		}
		accepted++
		if err := agreeAnswer(a.Raw, a.Head, &r, n); err != nil {
			t.Errorf("%s: %q: %v", a.Name, a.Raw, err)
		}
	}
	if accepted < 100 {
		t.Errorf("only %d messages are accepted", accepted)
	}
}
