package daemon

import (
	"net/http"
	"strings"
	"testing"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	body := `{"items":[{"price":100,"name":"kite"}],"ok":true,"none":null}`
	cases := map[string]struct {
		want   noon.Expect
		status int
		body   string
		says   []string // nil: as expected
	}{
		"all hold": {
			noon.Expect{
				Status: 200, Headers: map[string]string{"content-type": "application/json"}, Body: []string{"kite"}, NotBody: []string{"panic"},
				JSON: map[string]any{"items.0.price": 100, "ok": true, "none": nil, "items.0.name": "kite"},
			}, 200, body, nil,
		},
		"status":           {noon.Expect{Status: 200}, 500, "oh", []string{"status 500 instead of 200", `begins "oh"`}},
		"header":           {noon.Expect{Status: 200, Headers: map[string]string{"X-Missing": "a"}}, 200, body, []string{`header X-Missing is "", expected "a"`}},
		"body":             {noon.Expect{Status: 200, Body: []string{"boat"}}, 200, body, []string{`does not contain "boat"`}},
		"forbidden text":   {noon.Expect{Status: 200, NotBody: []string{"kite"}}, 200, body, []string{`contains "kite"`}},
		"json value":       {noon.Expect{Status: 200, JSON: map[string]any{"items.0.price": 101}}, 200, body, []string{"items.0.price is 100 instead of 101"}},
		"json type":        {noon.Expect{Status: 200, JSON: map[string]any{"ok": "true"}}, 200, body, []string{`ok is true instead of "true"`}},
		"json path":        {noon.Expect{Status: 200, JSON: map[string]any{"items.1.price": 1}}, 200, body, []string{"no items.1.price"}},
		"json index":       {noon.Expect{Status: 200, JSON: map[string]any{"items.x": 1}}, 200, body, []string{"no items.x"}},
		"json inside text": {noon.Expect{Status: 200, JSON: map[string]any{"ok.deeper": 1}}, 200, body, []string{"no ok.deeper"}},
		"no json":          {noon.Expect{Status: 200, JSON: map[string]any{"ok": true}}, 200, "<html>", []string{"not JSON"}},
		"several at once":  {noon.Expect{Status: 200, Body: []string{"x"}, NotBody: []string{"k"}}, 404, body, []string{"404", `"x"`, `"k"`}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := judge(tc.want, tc.status, header, tc.body)
			if tc.says == nil {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil {
				t.Fatal("the answer was taken as expected")
			}
			for _, part := range tc.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func FuzzLookUp(f *testing.F) {
	f.Add(`{"items":[{"price":100}]}`, "items.0.price")
	f.Add(`[]`, "-1")
	f.Add(`{"":{"":1}}`, ".")
	f.Fuzz(func(t *testing.T, body, path string) {
		if wrong := judgeJSON(map[string]any{path: 1.5}, body); len(wrong) > 1 {
			t.Errorf("one expectation gives %q", wrong)
		}
	})
}

func TestReachable(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		asked  []string
		want   string
		secure bool
	}{
		{[]string{"127.0.0.1:80"}, "a0", false},
		{[]string{"tls:127.0.0.1:443", "127.0.0.1:80"}, "a1", false},
		{[]string{"proxy:127.0.0.1:80", "tls:127.0.0.1:443"}, "a1", true},
		{[]string{"proxy:tls:127.0.0.1:443"}, "", false},
		{nil, "", false},
	} {
		health := proxy.Health{Asked: c.asked, Addresses: []string{"a0", "a1"}[:len(c.asked)]}
		got, secure, err := reachable(health)
		if got != c.want || secure != c.secure || (err == nil) != (c.want != "") {
			t.Errorf("%q: %q %v %v", c.asked, got, secure, err)
		}
	}
}
