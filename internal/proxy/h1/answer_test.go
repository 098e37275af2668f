package h1_test

import (
	"errors"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/h1"
	"github.com/noon-deploy/noon/internal/proxy/h1/h1test"
)

func TestAnswers(t *testing.T) {
	t.Parallel()
	for _, a := range h1test.Answers() {
		t.Run(a.Name, func(t *testing.T) {
			t.Parallel()
			var r h1.Response
			n, err := r.Parse(exactly(a.Raw), a.Head)
			if a.Reject {
				if e, ok := errors.AsType[*h1.Error](err); !ok || e.Status != 502 {
					t.Fatalf("%q: %d, %v; want 502", a.Raw, n, err)
				}
				return
			}
			if n == 0 || err != nil {
				t.Fatalf("%q: %d, %v", a.Raw, n, err)
			}
			body, rest := string(a.Raw[n:]), ""
			switch {
			case r.Length >= 0:
				body, rest = body[:r.Length], body[r.Length:]
			case r.Length == h1.LengthChunked:
				body, rest, _, _, err = decode(a.Raw[n:], 3)
			}
			if body != a.Body || rest != a.Rest || err != nil || r.Close != a.Close {
				t.Errorf("%q: body %q, rest %q, %v, close %v; want %q, %q, close %v", a.Raw, body, rest, err, r.Close, a.Body, a.Rest, a.Close)
			}
			for end := range n {
				if n, err := r.Parse(exactly(a.Raw[:end]), a.Head); n != 0 || err != nil {
					t.Fatalf("%q: %d, %v", a.Raw[:end], n, err)
				}
			}
		})
	}
}

func TestAnswerHead(t *testing.T) {
	t.Parallel()
	var r h1.Response
	raw := []byte("HTTP/1.1 101 Switching Protocols\r\nconnection: X-Hop, upgrade\r\nX-Hop: 1\r\nX_Odd: 2\r\nUpgrade: websocket\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n")
	if n, err := r.Parse(raw, false); n != len(raw) || err != nil {
		t.Fatal(n, err)
	}
	want := "\"connection\": \"X-Hop, upgrade\" (hop)\n\"X-Hop\": \"1\" (hop)\n\"X_Odd\": \"2\" (other)\n\"Upgrade\": \"websocket\" (upgrade)\n\"Set-Cookie\": \"a\" (set-cookie)\n\"Set-Cookie\": \"b\" (set-cookie)\n"
	if got := fields(r.Fields); got != want {
		t.Errorf("fields\n%s, want\n%s", got, want)
	}
	if r.Status != 101 || string(r.Reason) != "Switching Protocols" || r.Minor != 1 || string(r.Upgrade) != "websocket" || !r.Odd {
		t.Errorf("%+v", r)
	}
	if string(r.Value(h1.SetCookie)) != "a" || !r.Repeated(h1.SetCookie) || r.Value(h1.Date) != nil || r.Repeated(h1.UpgradeTo) {
		t.Errorf("values: %q, %v", r.Value(h1.SetCookie), r.Repeated(h1.SetCookie))
	}
	r.Reset()
	if r.Status != 0 || len(r.Fields) != 0 || r.Value(h1.SetCookie) != nil || r.Fields[:1][0].Name != nil {
		t.Errorf("after Reset: %+v", r)
	}
}

// 204 and 1xx have no length: what claims one does not go on.
func TestAnswerWithoutContentHasNoLength(t *testing.T) {
	t.Parallel()
	var r h1.Response
	for _, raw := range []string{"HTTP/1.1 204 \r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 103 \r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 204 \r\nTransfer-Encoding: chunked\r\n\r\n"} {
		if n, err := r.Parse([]byte(raw), false); n == 0 || err != nil || r.Fields[0].Kind != h1.Hop || r.Length != 0 {
			t.Errorf("%q: %v, %s, length %d", raw, err, fields(r.Fields), r.Length)
		}
	}
}
