package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
	"github.com/noon-deploy/noon/internal/proxy/meter"
)

// written opens an access log as the proxy does, whose files begin anew after a
// few lines.
func written(t *testing.T) (path string, write func(app string, status, n int)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "access.log")
	log, err := meter.OpenLog(meter.LogConfig{Path: path, Size: 2000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return path, func(app string, status, n int) {
		before := log.Written()
		log.Write(&meter.Entry{
			Status: status, Path: []byte("/"), Query: []byte("q=s3cr3t"), RequestID: fmt.Append(nil, n), Took: 1500 * time.Microsecond,
			Key: meter.Key{Site: noon.Site{App: app, Environment: "production"}, Revision: noon.Revision{Release: 1}},
		})
		limit := time.After(10 * time.Second)
		for log.Written() == before {
			select {
			case <-limit:
				t.Fatal("the line is not written")
			case <-time.After(time.Millisecond):
			}
		}
	}
}

func TestReadAccess(t *testing.T) {
	t.Parallel()
	path, write := written(t)
	for i := range 20 { // over two files
		write("shop", 200+300*(i%2), i)
		write("mail", 200, 100+i)
	}
	if err := os.WriteFile(path+".1", append([]byte("noise\n{}\n"), must(os.ReadFile(path+".1"))...), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		q    api.AccessQuery
		want []string
	}{
		"last":   {api.AccessQuery{Lines: 3}, []string{"118", "19", "119"}},
		"app":    {api.AccessQuery{App: "shop", Lines: 2}, []string{"18", "19"}},
		"errors": {api.AccessQuery{Errors: true, Lines: 2}, []string{"17", "19"}},
		"other":  {api.AccessQuery{Environment: "staging", Lines: 2}, nil},
		"none":   {api.AccessQuery{}, nil},
	} {
		var got []string
		err := readAccess(t.Context(), path, c.q, func(l api.AccessLine) error {
			got = append(got, l.RequestID)
			if l.Took != 1.5 || l.Release != "r1.c0" || strings.Contains(l.Path, "s3cr3t") {
				t.Errorf("%+v", l)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q; %v", name, got, c.want, err)
		}
	}
	left := errors.New("left")
	if err := readAccess(t.Context(), path, api.AccessQuery{Lines: 1}, func(api.AccessLine) error { return left }); !errors.Is(err, left) {
		t.Errorf("who reads has left: %v", err)
	}
	if err := readAccess(t.Context(), path+".none", api.AccessQuery{}, nil); noon.KindOf(err) != noon.NotFound || noon.HintOf(err) == "" {
		t.Errorf("no file: %v", err)
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// Nothing is missed when the file is replaced while it is followed.
func TestFollowAccess(t *testing.T) {
	t.Parallel()
	path, write := written(t)
	write("shop", 200, 0)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	seen, done := make(chan string), make(chan error, 1)
	go func() {
		done <- readAccess(ctx, path, api.AccessQuery{Lines: 1, Follow: true}, func(l api.AccessLine) error {
			seen <- l.RequestID
			return nil
		})
	}()
	for i := range 30 {
		select {
		case got := <-seen:
			if got != fmt.Sprint(i) {
				t.Fatalf("line %s, want %d", got, i)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("line %d never came", i)
		}
		write("shop", 200, i+1)
	}
	go func() {
		for range seen { // what comes while it is stopped
		}
	}()
	stop()
	err := <-done
	close(seen)
	if err != nil {
		t.Error(err)
	}
}

func TestAccessOptions(t *testing.T) {
	t.Parallel()
	opts := Options{Paths: Paths{Data: t.TempDir()}, Access: AccessOptions{On: true, Rules: []string{"share=0.1 class=2"}, Query: []string{"page"}, Addresses: true}}
	want := []string{"--access-log", "--access-rule", "share=0.1 class=2", "--access-query", "page", "--access-addresses"}
	if got := opts.Access.argv(); !slices.Equal(got, want) {
		t.Errorf("argv is %q", got)
	}
	cfg, on, err := accessConfig(opts)
	if err != nil || !on || len(cfg.Rules) != 1 || !cfg.Redact.WholeAddr || cfg.Redact.ShowQuery[0] != "page" || len(cfg.Redact.HidePaths) != 1 {
		t.Errorf("%+v, %t, %v", cfg, on, err)
	}
	opts.Access.Rules = []string{"colour=red"}
	if _, _, err := accessConfig(opts); noon.KindOf(err) != noon.Invalid || noon.HintOf(err) == "" {
		t.Errorf("a wrong rule: %v", err)
	}
	opts.Access = AccessOptions{}
	if log, err := openAccess(opts); log != nil || err != nil || opts.Access.argv() != nil {
		t.Errorf("none is wanted: %v, %v", log, err)
	}
}
