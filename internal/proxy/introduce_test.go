package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// version2 writes a header with a family, addresses and whatever follows.
func version2(command, family byte, parts ...string) string {
	rest := strings.Join(parts, "")
	return signature + string([]byte{command, family}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(rest)))) + rest //nolint:gosec // short
}

func told(kind byte, value string) string {
	return string([]byte{kind}) + string(binary.BigEndian.AppendUint16(nil, uint16(len(value)))) + value //nolint:gosec // short
}

const (
	addresses4 = "\xc0\x00\x02\x07\x0a\x00\x00\x01\x10\x00\x01\xbb"
	addresses6 = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x10\x00\x01\xbb"
	mapped4    = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\xc0\x00\x02\x07\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\xff\xff\x0a\x00\x00\x01\x10\x00\x01\xbb"
)

// summed is a header with a checksum.
func summed(change byte) string {
	h := []byte(version2(0x21, 0x11, addresses4, told(0x03, "\x00\x00\x00\x00"), told(0x04, "padding")))
	at := bytes.Index(h, []byte("\x03\x00\x04\x00\x00\x00\x00")) + 3
	binary.BigEndian.PutUint32(h[at:], crc32.Checksum(h, crc32.MakeTable(crc32.Castagnoli)))
	h[at] ^= change
	return string(h)
}

// introductions are headers and what they say; "" is the real peer, "!" none.
func introductions() map[string]string {
	return map[string]string{
		"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\n":                        "192.0.2.7:4096",
		"PROXY TCP6 2001:db8::7 2001:db8::1 4096 443\r\n":                   "[2001:db8::7]:4096",
		"PROXY TCP6 ::ffff:192.0.2.7 ::1 4096 443\r\n":                      "192.0.2.7:4096",
		"PROXY TCP4 1.1.1.1 1.1.1.1 0 0\r\n":                                "1.1.1.1:0",
		"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n":        "255.255.255.255:65535",
		"PROXY UNKNOWN\r\n":                                                 "",
		"PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n":     "",
		"PROXY TCP4 192.0.2.7 10.0.0.1 4096\r\n":                            "!",
		"PROXY TCP4  192.0.2.7 10.0.0.1 4096 443\r\n":                       "!",
		"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443 9\r\n":                      "!",
		"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\n":                          "!",
		"PROXY TCP4 192.0.2.7 10.0.0.1 04096 443\r\n":                       "!",
		"PROXY TCP4 192.0.2.7 10.0.0.1 65536 443\r\n":                       "!",
		"PROXY TCP4 192.0.2.7 10.0.0.1 +1 443\r\n":                          "!",
		"PROXY TCP4 2001:db8::7 10.0.0.1 4096 443\r\n":                      "!",
		"PROXY TCP6 192.0.2.7 10.0.0.1 4096 443\r\n":                        "!",
		"PROXY TCP6 fe80::1%eth0 ::1 4096 443\r\n":                          "!",
		"PROXY UDP4 192.0.2.7 10.0.0.1 4096 443\r\n":                        "!",
		"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443 " + strings.Repeat("x", 99): "!",
		"PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n":                "!",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                                 "!",
		"PROXY":                                                             "!",
		"":                                                                  "!",
		version2(0x21, 0x11, addresses4):                                    "192.0.2.7:4096",
		version2(0x21, 0x21, addresses6):                                    "[2001:db8::7]:4096",
		version2(0x21, 0x21, mapped4):                                       "192.0.2.7:4096",
		version2(0x21, 0x11, addresses4, told(0xee, "anything")):            "192.0.2.7:4096",
		version2(0x20, 0x00):                                                "",
		version2(0x20, 0x11, addresses4):                                    "",
		version2(0x21, 0x00, "whatever"):                                    "",
		version2(0x21, 0x12, addresses4):                                    "!",
		version2(0x21, 0x31, strings.Repeat("x", 216)):                      "!",
		version2(0x22, 0x11, addresses4):                                    "!",
		version2(0x11, 0x11, addresses4):                                    "!",
		version2(0x21, 0x11, addresses4[:11]):                               "!",
		version2(0x21, 0x11, addresses4, "\x01"):                            "!",
		version2(0x21, 0x11, addresses4, "\x01\x00\x09x"):                   "!",
		version2(0x21, 0x11, addresses4, strings.Repeat("x", 8000)):         "!",
		version2(0x21, 0x11, addresses4)[:20]:                               "!",
		summed(0):                                                           "192.0.2.7:4096",
		summed(1):                                                           "!",
	}
}

// TestIntroduction: whatever arrives when, the header is read and not one byte
// more.
func TestIntroduction(t *testing.T) {
	t.Parallel()
	const rest = "GET / HTTP/1.1\r\n"
	for header, want := range introductions() {
		whole := strings.NewReader(header + rest)
		if want == "!" { // what follows must not complete it
			whole = strings.NewReader(header)
		}
		for name, r := range map[string]io.Reader{"whole": whole, "byte by byte": iotest.OneByteReader(strings.NewReader(header + rest))} {
			if want == "!" && name != "whole" {
				r = iotest.OneByteReader(strings.NewReader(header))
			}
			from, err := proxy.ReadIntroduction(r)
			got := ""
			switch {
			case err != nil:
				got = "!"
			case from.IsValid():
				got = from.String()
			}
			if got != want {
				t.Errorf("%s %q: %q %v, want %q", name, header, got, err, want)
			}
			if left, _ := io.ReadAll(r); err == nil && string(left) != rest {
				t.Errorf("%s %q: %q follows, want %q", name, header, left, rest)
			}
		}
	}
}

// FuzzIntroduction: nothing but a header is taken for one, nothing behind it
// is read, and what was read is no longer than headers are.
func FuzzIntroduction(f *testing.F) {
	for header := range introductions() {
		f.Add([]byte(header))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r := bytes.NewReader(data)
		from, err := proxy.ReadIntroduction(r)
		if err != nil {
			return
		}
		read := len(data) - r.Len()
		switch {
		case bytes.HasPrefix(data, []byte(signature)):
			if want := 16 + int(binary.BigEndian.Uint16(data[14:])); read != want {
				t.Errorf("%d bytes were read, the header has %d", read, want)
			}
		case !bytes.HasPrefix(data, []byte("PROXY ")) || read > 107 || bytes.Index(data, []byte("\r\n")) != read-2:
			t.Errorf("%d bytes of %q were read", read, data)
		default:
			checkLine(t, string(data[:read]), from)
		}
	})
}

// checkLine reads a line of version 1 in another way.
func checkLine(t *testing.T, line string, from netip.AddrPort) {
	t.Helper()
	fields := strings.Fields(line)
	if fields[1] == "UNKNOWN" {
		if from.IsValid() {
			t.Errorf("%q tells of %v", line, from)
		}
		return
	}
	want, err := netip.ParseAddrPort(net.JoinHostPort(fields[2], fields[4]))
	if err != nil || netip.AddrPortFrom(want.Addr().Unmap(), want.Port()) != from || len(fields) != 6 {
		t.Errorf("%q tells of %v, want %v %v", line, from, want, err)
	}
}

// introducing is a client that says who it speaks for on each connection.
func introducing(t *testing.T, address, header string, change func(*http.Transport)) *http.Client {
	t.Helper()
	transport := &http.Transport{
		Protocols: &http.Protocols{},
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err == nil {
				_, err = io.WriteString(conn, header)
			}
			return conn, err
		},
	}
	transport.Protocols.SetHTTP1(true)
	change(transport)
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// TestIntroducedUsers: the address that a balancer tells is the user's for
// everything, over HTTP/1.1, HTTP/2 and TLS.
func TestIntroducedUsers(t *testing.T) {
	t.Parallel()
	p := startListening(t, shortDir(t), proxy.Limits{}, "proxy:127.0.0.1:0", "proxy:tls:127.0.0.1:0")
	app := backend(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = fmt.Fprint(w, r.Header.Get("X-Forwarded-For"), " ", r.Header.Get("X-Forwarded-Proto"), " ", n)
	})
	other := backend(t, says("segment"))
	r := overTLS(routing(1, 1, app))
	r.Domains = []string{"shop.example.com"}
	r.Endpoints = append(r.Endpoints, endpoints(2, other)...)
	r.Segments = []noon.Segment{{Name: "office", Revision: rev(2), Addresses: []string{"198.51.100.0/24"}}}
	mustRoute(t, p, r)
	root, err := p.proxy.InternalRoot()
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(root) {
		t.Fatalf("no certificate: %v", err)
	}
	changes := map[string]func(*http.Transport){
		"http h1":  func(*http.Transport) {},
		"http h2c": func(tr *http.Transport) { tr.Protocols.SetHTTP1(false); tr.Protocols.SetUnencryptedHTTP2(true) },
		"https h1": func(tr *http.Transport) {},
		"https h2": func(tr *http.Transport) { tr.Protocols.SetHTTP1(false); tr.Protocols.SetHTTP2(true) },
	}
	for name, change := range changes {
		scheme, _, _ := strings.Cut(name, " ")
		address := p.proxy.Addrs()[0].String()
		if scheme == "https" {
			address = p.proxy.Addrs()[1].String()
		}
		for header, want := range map[string]string{
			"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\n": "192.0.2.7 " + scheme + " 200000",
			version2(0x21, 0x21, addresses6):             "2001:db8::7 " + scheme + " 200000",
			"PROXY UNKNOWN\r\n":                          "127.0.0.1 " + scheme + " 200000",
			version2(0x20, 0x00):                         "127.0.0.1 " + scheme + " 200000",
			"PROXY TCP4 198.51.100.9 10.0.0.1 1 443\r\n": "segment",
		} {
			c := introducing(t, address, header, func(tr *http.Transport) {
				tr.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
				change(tr)
			})
			for range 2 {
				a, err := do(c, request(t, http.MethodPost, scheme+"://shop.example.com/", strings.NewReader(strings.Repeat("x", 200_000))))
				if err != nil || a.body != want {
					t.Errorf("%s %q: %+v %v, want %q", name, header, a, err, want)
				}
			}
		}
	}
}

// TestNotIntroduced: without a header the connection is closed, without a word.
// A listener that does not ask for headers takes none.
func TestNotIntroduced(t *testing.T) {
	t.Parallel()
	p := startListening(t, shortDir(t), proxy.Limits{}, "proxy:127.0.0.1:0", "127.0.0.1:0")
	mustRoute(t, p, routing(1, 1, backend(t, says("ok"))))
	for address, row := range map[int]struct{ send, want string }{
		0: {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", ""},
		1: {"PROXY TCP4 192.0.2.7 10.0.0.1 4096 443\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400 Bad Request\r\n"},
	} {
		conn, err := net.Dial("tcp", p.proxy.Addrs()[address].String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := io.WriteString(conn, row.send); err != nil {
			t.Fatal(err)
		}
		if line, _ := bufio.NewReader(conn).ReadString('\n'); line != row.want {
			t.Errorf("%d: %q, want %q", address, line, row.want)
		}
	}
	// One that says nothing does not hold up the end of the proxy.
	silent, err := net.Dial("tcp", p.proxy.Addrs()[0].String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
}
