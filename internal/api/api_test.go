package api_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

var site = noon.Site{App: "shop", Environment: "production"}

// serve runs a controller behind a unix socket and returns a client for it.
func serve(t *testing.T, c api.Controller) *api.Client {
	t.Helper()
	handler, err := api.NewHandler(c)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "api") //nolint:usetesting // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}}
	srv.Start()
	t.Cleanup(srv.Close)
	client := api.NewClient(socket)
	t.Cleanup(client.Close)
	return client
}

func TestErrorsArriveWhole(t *testing.T) {
	t.Parallel()
	for _, kind := range []noon.ErrorKind{noon.Invalid, noon.NotFound, noon.Conflict, noon.Stale, noon.Failure, noon.Unavailable, noon.Internal} {
		want := &noon.Error{Kind: kind, Op: "deploy", Subject: "r7", Err: errors.New("no such release"), Hint: "Look again."}
		client := serve(t, api.Controller{Deploy: func(context.Context, api.DeployRequest) (noon.Deployment, error) {
			return noon.Deployment{}, want
		}})
		_, err := client.Deploy(t.Context(), api.DeployRequest{Site: site})
		if noon.KindOf(err) != kind || err.Error() != want.Error() || noon.HintOf(err) != want.Hint {
			t.Errorf("%s arrives as %s: %v (hint %q)", kind, noon.KindOf(err), err, noon.HintOf(err))
		}
	}
}

func TestRequestsArriveWhole(t *testing.T) {
	t.Parallel()
	var got api.DeployRequest
	var line api.LogQuery
	var changes []api.ConfigChange
	var upload string
	client := serve(t, api.Controller{
		Deploy: func(_ context.Context, req api.DeployRequest) (noon.Deployment, error) {
			got = req
			return noon.Deployment{ID: 7, Site: req.Site, Status: noon.Queued}, nil
		},
		Logs: func(_ context.Context, q api.LogQuery, see func(api.LogLine) error) error {
			line = q
			return errors.Join(see(api.LogLine{Text: "one"}), see(api.LogLine{Text: "two"}))
		},
		SetConfig: func(_ context.Context, _ noon.Site, in []api.ConfigChange) (api.ConfigView, error) {
			changes = in
			return api.ConfigView{Version: 3, Secrets: []string{"KEY"}}, nil
		},
		AddRelease: func(_ context.Context, r io.Reader) (noon.Release, error) {
			data, err := io.ReadAll(r)
			upload = string(data)
			return noon.Release{Number: 4}, err
		},
	})
	want := api.DeployRequest{Site: site, Kind: noon.PlanRollback, Release: "r3", Supersede: true, By: "somebody", Reason: "why", Key: "k"}
	if d, err := client.Deploy(t.Context(), want); err != nil || d.ID != 7 || got != want {
		t.Errorf("deploy: %v, %v, arrived as %+v", d.ID, err, got)
	}
	wantLogs := api.LogQuery{Site: site, Service: "web", Release: "r2", Lines: 5, Follow: true}
	var lines []string
	err := client.Logs(t.Context(), wantLogs, func(l api.LogLine) error {
		lines = append(lines, l.Text)
		return nil
	})
	if err != nil || line != wantLogs || strings.Join(lines, " ") != "one two" {
		t.Errorf("logs: %v, %v, arrived as %+v", lines, err, line)
	}
	wantChanges := []api.ConfigChange{{Name: "KEY", Value: "v", Secret: true}, {Name: "OLD", Unset: true}}
	if view, err := client.SetConfig(t.Context(), site, wantChanges); err != nil || view.Version != 3 || cmp.Diff(wantChanges, changes) != "" {
		t.Errorf("config: %+v, %v, arrived as %+v", view, err, changes)
	}
	if r, err := client.AddRelease(t.Context(), strings.NewReader("tar")); err != nil || r.Number != 4 || upload != "tar" {
		t.Errorf("release: %+v, %v, arrived as %q", r, err, upload)
	}
}

func TestStreamEndsWithTheClient(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	client := serve(t, api.Controller{Watch: func(ctx context.Context, _ int64, see func(api.DeploymentView) error) error {
		defer close(ended)
		if err := see(api.DeploymentView{}); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}})
	enough := errors.New("seen enough")
	if err := client.Watch(t.Context(), 1, func(api.DeploymentView) error { return enough }); !errors.Is(err, enough) {
		t.Fatalf("watch ended with %v", err)
	}
	<-ended
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	client := api.NewClient(filepath.Join(t.TempDir(), "nobody"))
	_, err := client.Health(t.Context())
	if noon.KindOf(err) != noon.Unavailable || !strings.Contains(noon.HintOf(err), "noon serve") {
		t.Errorf("without a controller: %v (hint %q)", err, noon.HintOf(err))
	}
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	handler, err := api.NewHandler(api.Controller{})
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct{ method, path, body, says string }{
		{"POST", "/v1/deployments", `{"sight":"shop"}`, "unknown field"},
		{"POST", "/v1/deployments", `{`, "unexpected EOF"},
		{"POST", "/v1/deployments", strings.Repeat(" ", 5<<20), "too large"},
		{"GET", "/v1/deployments/x", "", "not a number"},
		{"GET", "/v1/deployments/0", "", "not a number"},
		{"GET", "/v1/deployments?limit=-1", "", "not a number"},
		{"GET", "/v1/config?site=shop", "", "not a site"},
		{"GET", "/v1/config?site=../../etc@x", "", "not a site"},
		{"GET", "/v1/logs?site=shop@production&lines=many", "", "not a number"},
		{"GET", "/v2/status", "", "no such operation"},
		{"DELETE", "/v1/status", "", ""},
	}
	for _, tc := range cases {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
		if w.Code < 400 || w.Code >= 500 || !strings.Contains(w.Body.String(), tc.says) {
			t.Errorf("%s %s: %d %s, want one that says %q", tc.method, tc.path, w.Code, w.Body, tc.says)
		}
	}
}

func FuzzRequest(f *testing.F) {
	f.Add("POST", "/v1/deployments", `{"site":{"app":"shop","environment":"production"}}`)
	f.Add("GET", "/v1/logs?site=a@b&lines=1", "")
	f.Add("POST", "/v1/deployments/7/approve", `{"resolve":{"a":"b"}}`)
	answer := func(context.Context, api.DeployRequest) (noon.Deployment, error) { return noon.Deployment{}, nil }
	decide := func(context.Context, int64, api.Decision) (noon.Deployment, error) { return noon.Deployment{}, nil }
	handler, err := api.NewHandler(api.Controller{
		Deploy: answer, Approve: decide, Abort: decide,
		Logs: func(context.Context, api.LogQuery, func(api.LogLine) error) error { return nil },
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, method, path, body string) {
		if method != "POST" && !strings.HasPrefix(path, "/v1/logs") {
			return // the others are not there
		}
		if !strings.HasPrefix(path, "/v1/deployments") && !strings.HasPrefix(path, "/v1/logs") {
			return
		}
		req, err := http.NewRequestWithContext(t.Context(), method, "http://noon"+path, strings.NewReader(body))
		if err != nil || strings.HasSuffix(req.URL.Path, "/watch") || req.Method == "GET" && req.URL.Path != "/v1/logs" {
			return
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	})
}

func TestOpenAPIIsServed(t *testing.T) {
	t.Parallel()
	document, err := serve(t, api.Controller{}).OpenAPI(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"/v1/deployments/{id}/watch"`, `"DeployRequest"`, `"#/components/schemas/`} {
		if !strings.Contains(string(document), part) {
			t.Errorf("the document does not contain %s", part)
		}
	}
}
