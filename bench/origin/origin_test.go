//go:build linux

package origin_test

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/bench/load"
	"github.com/noon-deploy/noon/bench/origin"
)

// start serves until the tests end: an origin is ended with its process.
func start(t *testing.T) []string {
	t.Helper()
	s, err := origin.Listen(2)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := s.Serve(); err != nil {
			panic(err)
		}
	}()
	return s.Addresses
}

func TestAnswers(t *testing.T) {
	addresses := start(t)
	if len(addresses) != 2 || addresses[0] == addresses[1] {
		t.Fatalf("two instances have the addresses %v", addresses)
	}
	for _, address := range addresses {
		for path, size := range map[string]int{"/": origin.Small, "/64k": origin.Large} {
			for _, body := range []io.Reader{nil, strings.NewReader(strings.Repeat("b", 1<<20))} {
				ask(t, "http://"+address+path, body, size)
			}
		}
	}
}

func ask(t *testing.T, url string, body io.Reader, size int) {
	t.Helper()
	method := http.MethodGet
	if body != nil {
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK || len(data) != size {
		t.Errorf("%s %s: %s, %d bytes, %v", method, url, res.Status, len(data), err)
	}
}

func TestSocketsEcho(t *testing.T) {
	address := start(t)[0]
	held, err := load.Hold(address, 20, load.Upgrade("bench.example"))
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	if err := held.Again(load.Echo); err != nil {
		t.Fatal(err)
	}
}

func TestHeadInPiecesAndPipelined(t *testing.T) {
	c, err := net.Dial("tcp", start(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, piece := range []string{"GET / HT", "TP/1.1\r\nHost: a\r\n", "\r\nPOST / HTTP/1.1\r\nContent-Length: 3\r\nConnection: close\r\n\r\na", "bc"} {
		if _, err := io.WriteString(c, piece); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(data, []byte("HTTP/1.1 200 OK\r\n")); n != 2 {
		t.Errorf("two requests got %d answers:\n%s", n, data)
	}
}

func TestFrameInPieces(t *testing.T) {
	c, err := net.Dial("tcp", start(t)[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	// A connection that writes byte by byte.
	if err := load.Upgrade("bench.example")(slow{c}); err != nil {
		t.Fatal(err)
	}
}

type slow struct{ net.Conn }

func (s slow) Write(data []byte) (int, error) {
	for i := range data {
		if _, err := s.Conn.Write(data[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(data), nil
}
