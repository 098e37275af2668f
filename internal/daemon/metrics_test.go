package daemon

import (
	"testing"

	"github.com/noon-deploy/noon"
)

func TestListenMetrics(t *testing.T) {
	t.Parallel()
	if l, err := listenMetrics(t.Context(), ""); l != nil || err != nil {
		t.Errorf("none was asked for: %v, %v", l, err)
	}
	for _, address := range []string{"0.0.0.0:0", ":9180", "192.0.2.1:9180", "[::]:0", "localhost", "example.com:80", "127.0.0.1:99999"} {
		l, err := listenMetrics(t.Context(), address)
		if l != nil || noon.KindOf(err) != noon.Invalid || noon.HintOf(err) == "" {
			t.Errorf("%s: %v, %v", address, l, err)
		}
	}
	l, err := listenMetrics(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if again, err := listenMetrics(t.Context(), l.Addr().String()); again != nil || noon.KindOf(err) != noon.Unavailable {
		t.Errorf("an address that is taken: %v, %v", again, err)
	}
}
