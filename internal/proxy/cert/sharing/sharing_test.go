package sharing_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/proxy/cert"
	"github.com/noon-deploy/noon/internal/proxy/cert/sharing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestNobodyThere: that nobody offers the place is not that nothing is in it.
func TestNobodyThere(t *testing.T) {
	t.Parallel()
	c := sharing.NewClient(filepath.Join(t.TempDir(), "c.sock"))
	defer c.Close()
	_, _, err := c.Load(t.Context(), "a")
	if noon.KindOf(err) != noon.Unavailable {
		t.Errorf("%v is %s", err, noon.KindOf(err))
	}
	if _, err := c.Lock(t.Context(), "a", "b", time.Minute); noon.KindOf(err) != noon.Unavailable {
		t.Errorf("%v is %s", err, noon.KindOf(err))
	}
}

// TestNonsense: what is no call is told, and stores nothing. That calls do what
// they are for is tested where a place is offered, in internal/ledger.
func TestNonsense(t *testing.T) {
	t.Parallel()
	dir, err := cert.NewDir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	h := sharing.Handler(dir)
	for body, want := range map[string]int{
		"":                            http.StatusBadRequest,
		"{":                           http.StatusBadRequest,
		`{"key":"a","value":"`:        http.StatusBadRequest,
		`{"key":"../a","value":"eA"}`: http.StatusBadRequest,
	} {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/store", strings.NewReader(body)))
		if w.Code != want || !strings.Contains(w.Body.String(), `"kind"`) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
}
