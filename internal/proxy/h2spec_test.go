package proxy_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/summerwind/h2spec/config"
	"github.com/summerwind/h2spec/generic"
	"github.com/summerwind/h2spec/hpack"
	"github.com/summerwind/h2spec/http2"
	"github.com/summerwind/h2spec/spec"

	"github.com/noon-deploy/noon/internal/proxy"
)

// deviations are the cases of h2spec that noon does not pass, each with the
// reason why that harms nobody.
func deviations() map[string]string {
	refused := "net/http answers 400 where a stream error is asked for; no instance is sent the request"
	return map[string]string{
		"h2c/http2/3.5/2": "what does not begin as HTTP/2 is HTTP/1.1 where both are spoken, and is answered with 400",
		"http2/6.5.3/1":   "net/http refuses SETTINGS that name a setting twice, which no client sends",
		"http2/8.1.2.2/1": refused,
		"http2/8.1.2.2/2": refused,
	}
}

// TestH2Spec: the conformance suite, over TLS and with prior knowledge.
func TestH2Spec(t *testing.T) {
	t.Parallel()
	r := overTLS(routing(1, 1, backend(t, says("ok"))))
	r.Domains = []string{"localhost"}
	p := startListening(t, shortDir(t), proxy.Limits{}, "127.0.0.1:0", "tls:127.0.0.1:0")
	mustRoute(t, p, r)
	known := deviations()
	for i, name := range []string{"h2c", "h2"} {
		addr := p.proxy.Addrs()[i].(*net.TCPAddr)
		c := &config.Config{Host: "localhost", Port: addr.Port, Path: "/", Timeout: 2 * time.Second, MaxHeaderLen: 4000, TLS: name == "h2", Insecure: true}
		for _, group := range []*spec.TestGroup{generic.Spec(), http2.Spec(), hpack.Spec()} {
			cases := casesOf(group)
			if len(cases) < 7 {
				t.Errorf("%s: only %d cases", group.Name, len(cases))
			}
			for id, tc := range cases {
				t.Run(name+"/"+id, func(t *testing.T) {
					t.Parallel()
					conform(t, c, tc, cmp.Or(known[id], known[name+"/"+id]))
				})
			}
		}
	}
}

// conform runs one case; why is set if it is known to fail.
func conform(t *testing.T, c *config.Config, tc *spec.TestCase, why string) {
	t.Helper()
	conn, err := spec.Dial(c)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	err = tc.Run(c, conn)
	switch {
	case errors.Is(err, spec.ErrSkipped):
		t.Skip("not for this server")
	case err == nil && why != "":
		t.Errorf("%s: it passes now, and is no deviation any more", tc.Desc)
	case err != nil && why == "":
		t.Errorf("%s\n%s\n%v", tc.Desc, tc.Requirement, err)
	}
}

// casesOf are all cases of a group by where they are found in h2spec's own
// report.
func casesOf(group *spec.TestGroup) map[string]*spec.TestCase {
	all := map[string]*spec.TestCase{}
	for i, tc := range append(group.Tests, group.StrictTests...) {
		all[fmt.Sprintf("%s/%d", strings.TrimSuffix(group.ID(), "/"), i+1)] = tc
	}
	for _, g := range group.Groups {
		maps.Copy(all, casesOf(g))
	}
	return all
}
