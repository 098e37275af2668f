package h1_test

import (
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
)

// The payload is at the front of the buffer, or where it came in one piece.
func TestDecodeInPlace(t *testing.T) {
	t.Parallel()
	var c h1.Chunked
	one := []byte("5\r\nhello\r\n0\r\n\r\n")
	payload, n, done, err := c.Decode(one)
	if string(payload) != "hello" || &payload[0] != &one[3] || n != len(one) || !done || err != nil {
		t.Errorf("one piece: %q, %d, %v, %v", payload, n, done, err)
	}
	if _, n, done, err := c.Decode([]byte("GET ")); n != 0 || !done || err != nil {
		t.Errorf("behind the end: %d, %v, %v", n, done, err)
	}
	c.Reset()
	two := []byte("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET ")
	payload, n, done, err = c.Decode(two)
	if string(payload) != "hello world" || &payload[0] != &two[0] || n != len(two)-4 || !done || err != nil {
		t.Errorf("two pieces: %q, %d, %v, %v", payload, n, done, err)
	}
	if c.Received() != 11 {
		t.Errorf("received %d", c.Received())
	}
}

func TestTrailers(t *testing.T) {
	t.Parallel()
	var c h1.Chunked
	for range 2 {
		c.Reset()
		raw := "0\r\nGrpc-Status: 0\r\nContent-Length: 5\r\nCookie: a\r\nX_Forwarded_For: b\r\nConnection: Grpc-Status\r\ngrpc-message:\t all right \r\nETag: \"x\"\r\nNoon-Release: r1\r\n\r\n"
		if _, n, done, err := c.Decode([]byte(raw)); n != len(raw) || !done || err != nil {
			t.Fatal(n, done, err)
		}
		want := "\"Grpc-Status\": \"0\" (other)\n\"grpc-message\": \"all right\" (other)\n\"ETag\": \"\\\"x\\\"\" (other)\n"
		if got := fields(c.Trailer()); got != want {
			t.Errorf("trailer\n%s, want\n%s", got, want)
		}
		if got := string(h1.AppendLastChunk([]byte("x"), c.Trailer())); got != "x0\r\nGrpc-Status: 0\r\ngrpc-message: all right\r\nETag: \"x\"\r\n\r\n" {
			t.Errorf("written anew: %q", got)
		}
	}
	c.Reset()
	if len(c.Trailer()) != 0 || c.Received() != 0 {
		t.Errorf("after Reset: %s", fields(c.Trailer()))
	}
}

// Extensions and trailers that are just small enough.
func TestLimitsOfChunks(t *testing.T) {
	t.Parallel()
	for raw, good := range map[string]bool{
		"1;" + strings.Repeat("a", h1.MaxChunkExtension-1) + "\r\nx\r\n0\r\n\r\n":                       true,
		"1;" + strings.Repeat("a", h1.MaxChunkExtension) + "\r\nx\r\n0\r\n\r\n":                         false,
		strings.Repeat("1;"+strings.Repeat("a", h1.MaxChunkExtension-1)+"\r\nx\r\n", 16) + "0\r\n\r\n":  true,
		strings.Repeat("1;"+strings.Repeat("a", h1.MaxChunkExtension-1)+"\r\nx\r\n", 16) + "0;\r\n\r\n": false,
		"0\r\nX: " + strings.Repeat("a", h1.MaxTrailer-7) + "\r\n\r\n":                                  true,
		"0\r\nX: " + strings.Repeat("a", h1.MaxTrailer-6) + "\r\n\r\n":                                  false,
		"0\r\n" + strings.Repeat("X: a\r\n", h1.MaxFields) + "\r\n":                                     true,
		"0\r\n" + strings.Repeat("X: a\r\n", h1.MaxFields+1) + "\r\n":                                   false,
		"7fffffffffffffff\r\nx": true,
		"8000000000000000\r\nx": false,
	} {
		for _, step := range []int{1, 7, len(raw)} {
			_, _, _, done, err := decode([]byte(raw), step)
			if (err == nil) != good || good && !done && !strings.HasPrefix(raw, "7") {
				t.Errorf("%.40q, %d at a time: %v, %v", raw, step, done, err)
			}
		}
	}
}
