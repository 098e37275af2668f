package rules_test

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"

	"github.com/noon-deploy/noon/internal/proxy/rules"
)

func address(text string) netip.Addr { return netip.MustParseAddr(text) }

func lines(list ...string) [][]byte {
	var out [][]byte
	for _, s := range list {
		out = append(out, []byte(s))
	}
	return out
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	trusted, err := rules.CompileAddresses([]string{"10.0.0.0/8", "192.0.2.9", "2001:db8:1::/48"})
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat(", 10.0.0.2", 40)
	for name, tc := range map[string]struct {
		peer           string
		forwarded, xff []string
		client         string
		chain          string // X-Forwarded-For that is sent on
	}{
		"nobody trusted":        {"198.51.100.1", nil, []string{"203.0.113.7"}, "198.51.100.1", "198.51.100.1"},
		"nothing said":          {"10.0.0.1", nil, nil, "10.0.0.1", "10.0.0.1"},
		"one proxy":             {"10.0.0.1", nil, []string{"203.0.113.7"}, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"client lies":           {"10.0.0.1", nil, []string{"1.1.1.1, 203.0.113.7"}, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"two proxies":           {"10.0.0.1", nil, []string{"1.1.1.1, 203.0.113.7, 192.0.2.9"}, "203.0.113.7", "203.0.113.7, 192.0.2.9, 10.0.0.1"},
		"two fields":            {"10.0.0.1", nil, []string{"203.0.113.7", "192.0.2.9"}, "203.0.113.7", "203.0.113.7, 192.0.2.9, 10.0.0.1"},
		"all trusted":           {"10.0.0.1", nil, []string{"10.0.0.3,10.0.0.2"}, "10.0.0.3", "10.0.0.3, 10.0.0.2, 10.0.0.1"},
		"ports":                 {"10.0.0.1", nil, []string{"[2001:db8::7]:443, 10.0.0.2:99"}, "2001:db8::7", "2001:db8::7, 10.0.0.2, 10.0.0.1"},
		"mapped":                {"::ffff:10.0.0.1", nil, []string{"::ffff:203.0.113.7"}, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"unknown behind":        {"10.0.0.1", nil, []string{"203.0.113.7, unknown, 10.0.0.2"}, "10.0.0.2", "10.0.0.2, 10.0.0.1"},
		"garbage":               {"10.0.0.1", nil, []string{"203.0.113.7, <script>"}, "10.0.0.1", "10.0.0.1"},
		"empty elements":        {"10.0.0.1", nil, []string{" , 203.0.113.7 ,,"}, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"wrong port":            {"10.0.0.1", nil, []string{"203.0.113.7:http"}, "10.0.0.1", "10.0.0.1"},
		"brackets round 4":      {"10.0.0.1", nil, []string{"[203.0.113.7]"}, "10.0.0.1", "10.0.0.1"},
		"trusted 6":             {"2001:db8:1::1", nil, []string{"2001:db8:2::1"}, "2001:db8:2::1", "2001:db8:2::1, 2001:db8:1::1"},
		"forwarded":             {"10.0.0.1", []string{`for=203.0.113.7;proto=https;by=10.0.0.1`}, nil, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"forwarded, case":       {"10.0.0.1", []string{`Proto=https ; FOR="203.0.113.7:8080"`}, nil, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"forwarded, 6":          {"10.0.0.1", []string{`for="[2001:db8::7]:4711", for=10.0.0.2`}, nil, "2001:db8::7", "2001:db8::7, 10.0.0.2, 10.0.0.1"},
		"forwarded, fields":     {"10.0.0.1", []string{`for=203.0.113.7`, `for=10.0.0.2`}, nil, "203.0.113.7", "203.0.113.7, 10.0.0.2, 10.0.0.1"},
		"forwarded, lies":       {"10.0.0.1", []string{`for=1.1.1.1, for=203.0.113.7`}, nil, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"forwarded, quoted ,":   {"10.0.0.1", []string{`for="1.1.1.1, for=2.2.2.2", for=203.0.113.7`}, nil, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"forwarded, hidden":     {"10.0.0.1", []string{`for=203.0.113.7, for=_secret`}, nil, "10.0.0.1", "10.0.0.1"},
		"forwarded, no for":     {"10.0.0.1", []string{`for=203.0.113.7, proto=https`}, nil, "10.0.0.1", "10.0.0.1"},
		"forwarded, open quote": {"10.0.0.1", []string{`for=203.0.113.7, for="10.0.0.2`}, nil, "10.0.0.1", "10.0.0.1"},
		"forwarded, twice for":  {"10.0.0.1", []string{`for=203.0.113.7;for=203.0.113.8`}, nil, "10.0.0.1", "10.0.0.1"},
		"forwarded, malformed":  {"10.0.0.1", []string{`203.0.113.7`}, nil, "10.0.0.1", "10.0.0.1"},
		"both agree":            {"10.0.0.1", []string{`for=203.0.113.7`}, []string{"1.1.1.1, 203.0.113.7"}, "203.0.113.7", "203.0.113.7, 10.0.0.1"},
		"both differ":           {"10.0.0.1", []string{`for=203.0.113.7`}, []string{"203.0.113.8"}, "10.0.0.1", "10.0.0.1"},
		"long way":              {"10.0.0.1", nil, []string{"203.0.113.7" + long}, "10.0.0.2", strings.Repeat("10.0.0.2, ", 16) + "10.0.0.1"},
	} {
		o := trusted.Origin(address(tc.peer), lines(tc.forwarded...), lines(tc.xff...))
		if o.Client != address(tc.client) {
			t.Errorf("%s: client is %s, want %s", name, o.Client, tc.client)
		}
		if got := string(o.AppendFor(nil)); got != tc.chain {
			t.Errorf("%s: sent on is %q, want %q", name, got, tc.chain)
		}
	}
}

func TestForwardedIsSentOn(t *testing.T) {
	t.Parallel()
	trusted, err := rules.CompileAddresses([]string{"10.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	o := trusted.Origin(address("10.0.0.1"), nil, lines("2001:db8::7"))
	if got, want := string(o.AppendForwarded(nil, "https", []byte(`shop"\`))), `for="[2001:db8::7]", for=10.0.0.1;proto=https;host="shop\"\\"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if !o.Trusted {
		t.Error("the peer is not trusted")
	}
	stranger := trusted.Origin(address("10.0.0.2"), nil, nil)
	if got := string(stranger.AppendForwarded(nil, "", nil)); got != "for=10.0.0.2" || stranger.Trusted {
		t.Error(got)
	}
	// What is written is what is read.
	again := trusted.Origin(address("10.0.0.1"), lines(`for="[2001:db8::7]";proto=https;host="shop\"\\"`), nil)
	if again.Client != o.Client {
		t.Errorf("read back as %s", again.Client)
	}
}

// FuzzAddress: an address is read as net/netip reads it.
func FuzzAddress(f *testing.F) {
	for _, seed := range []string{
		"1.2.3.4", "01.2.3.4", "1.2.3", "1.2.3.4.5", "256.1.1.1", "::", "::1", "1::", "2001:db8::1", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::",
		"1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4", ":::", "1::2::3", "12345::", "fe80::1%eth0", "", ":", "1:", ":1", "g::", "1:2:3:4:5:6:7:8::", "::1.2.3.4:5",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		want, err := netip.ParseAddr(text)
		if err != nil || want.Zone() != "" {
			want = netip.Addr{}
		}
		if got := rules.ParseAddress([]byte(text)); got != want.Unmap() {
			t.Fatalf("%q is %v, want %v", text, got, want)
		}
	})
}

// FuzzOrigin: whatever a stranger writes, only what a trusted proxy has added
// behind it counts.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{`for=1.1.1.1`, `1.1.1.1`, `for="`, `"`, `,`, `for="[::1]`, `a=b;c="d\"`, "\\", `for=1.1.1.1;`} {
		f.Add([]byte(seed))
	}
	trusted, err := rules.CompileAddresses([]string{"10.0.0.0/8"})
	if err != nil {
		f.Fatal(err)
	}
	peer, client := address("10.0.0.1"), address("203.0.113.7")
	f.Fuzz(func(t *testing.T, claim []byte) {
		xff := append(bytes.Clone(claim), ", 203.0.113.7"...)
		if o := trusted.Origin(peer, nil, [][]byte{xff}); o.Client != client {
			t.Fatalf("X-Forwarded-For %q: client %s", xff, o.Client)
		}
		// A field of its own: what is malformed is believed in nothing.
		o := trusted.Origin(peer, [][]byte{claim, []byte("for=203.0.113.7")}, nil)
		if o.Client != client && o.Client != peer {
			t.Fatalf("Forwarded %q: client %s", claim, o.Client)
		}
		if got := string(o.AppendFor(nil)); got != "203.0.113.7, 10.0.0.1" && got != "10.0.0.1" {
			t.Fatalf("Forwarded %q is sent on as %s", claim, got)
		}
	})
}
