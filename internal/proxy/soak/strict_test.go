package soak_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
)

// received is a request as a strict instance understands it, or why it does
// not.
type received struct {
	method, target string
	fields         map[string][]string // by lower-case name
	body           string
	err            error
}

// strict is an instance that takes nothing which another one could understand
// in another way, and records everything.
type strict struct {
	mu      sync.Mutex
	got     []received
	reading int // requests that have begun and not ended
}

// take gives what was received since the last call. Nothing may be half read.
func (s *strict) take() ([]received, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading > 0 {
		return nil, fmt.Errorf("%d requests are half read", s.reading)
	}
	got := s.got
	s.got = nil
	return got, nil
}

// read reads one request and records it.
func (s *strict) read(in *bufio.Reader, out io.Writer) received {
	s.mu.Lock()
	s.reading++
	s.mu.Unlock()
	r := readStrictly(in, out)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading--
	s.got = append(s.got, r)
	return r
}

// serve reads requests until one is wrong, or the end.
func (s *strict) serve(_ context.Context, conn net.Conn) {
	in := bufio.NewReaderSize(conn, 128<<10)
	for {
		if _, err := in.Peek(1); err != nil {
			return // between two requests
		}
		r := s.read(in, conn)
		if r.err != nil {
			return
		}
		body := "ok"
		if r.method == "HEAD" {
			body = ""
		}
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSoak-Release: 1\r\n\r\n%s", body); err != nil {
			return
		}
	}
}

var (
	strictLine   = regexp.MustCompile(`^([!#$%&'*+.^_|~0-9A-Za-z-]+) ([!-~]+) HTTP/1\.1$`)
	strictName   = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	strictLength = regexp.MustCompile(`^(0|[1-9][0-9]{0,17})$`)
	strictChunk  = regexp.MustCompile(`^[0-9a-fA-F]{1,15}$`)
)

var errStrict = errors.New("not strict")

// readStrictly reads one request.
func readStrictly(in *bufio.Reader, out io.Writer) (r received) {
	line, err := strictText(in)
	if err != nil {
		return received{err: err}
	}
	m := strictLine.FindStringSubmatch(line)
	if m == nil {
		return received{err: fmt.Errorf("%w: request line %q", errStrict, line)}
	}
	r = received{method: m[1], target: m[2]}
	if r.fields, r.err = strictFields(in); r.err != nil {
		return r
	}
	lengths, codings := r.fields["content-length"], r.fields["transfer-encoding"]
	if len(r.fields["host"]) != 1 || len(lengths)+len(codings) > 1 {
		r.err = fmt.Errorf("%w: hosts %q, lengths %q, codings %q", errStrict, r.fields["host"], lengths, codings)
		return r
	}
	if len(r.fields["expect"]) > 0 {
		if _, r.err = io.WriteString(out, "HTTP/1.1 100 Continue\r\n\r\n"); r.err != nil {
			return r
		}
	}
	switch {
	case len(codings) == 1 && codings[0] != "chunked", len(lengths) == 1 && !strictLength.MatchString(lengths[0]):
		r.err = fmt.Errorf("%w: length %q, coding %q", errStrict, lengths, codings)
	case len(codings) == 1:
		r.body, r.err = strictChunks(in)
	case len(lengths) == 1:
		n, _ := strconv.Atoi(lengths[0]) // the expression has checked it
		r.body, r.err = strictBytes(in, n)
	}
	return r
}

// strictText reads a line that ends with CRLF and has no other CR, LF or NUL.
func strictText(in *bufio.Reader) (string, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return "", fmt.Errorf("%w in the line %.100q", err, line)
	}
	text, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.ContainsAny(text, "\r\x00") {
		return "", fmt.Errorf("%w: line %.100q", errStrict, line)
	}
	return string(text), nil
}

func strictFields(in *bufio.Reader) (map[string][]string, error) {
	fields := map[string][]string{}
	for {
		line, err := strictText(in)
		if err != nil || line == "" {
			return fields, err
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !strictName.MatchString(name) || strings.ContainsFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) {
			return fields, fmt.Errorf("%w: field %.100q", errStrict, line)
		}
		name = strings.ToLower(name)
		fields[name] = append(fields[name], strings.Trim(value, " \t"))
	}
}

func strictBytes(in *bufio.Reader, n int) (string, error) {
	b := make([]byte, n)
	k, err := io.ReadFull(in, b)
	return string(b[:k]), err
}

func strictChunks(in *bufio.Reader) (string, error) {
	var body strings.Builder
	for {
		line, err := strictText(in)
		if err != nil {
			return body.String(), err
		}
		if !strictChunk.MatchString(line) {
			return body.String(), fmt.Errorf("%w: chunk size %.100q", errStrict, line)
		}
		n, _ := strconv.ParseInt(line, 16, 64) // the expression has checked it
		if n == 0 {
			trailer, err := strictFields(in)
			for _, name := range []string{"content-length", "transfer-encoding", "host", "authorization", "cookie"} {
				if len(trailer[name]) > 0 && err == nil {
					err = fmt.Errorf("%w: trailer %v", errStrict, trailer)
				}
			}
			return body.String(), err
		}
		part, err := strictBytes(in, int(n))
		body.WriteString(part)
		if err != nil {
			return body.String(), err
		}
		if end, err := strictText(in); err != nil || end != "" {
			return body.String(), fmt.Errorf("%w: %q behind a chunk, %w", errStrict, end, err)
		}
	}
}
