package release_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon"
)

func TestTexts(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := shop(t)
	r.write("errors/404.html", "<p>ä").write("latin.html", "\xe4")
	r.app(noon.App{Environments: []noon.Environment{{Name: "production", Pages: map[string]string{"404": "./errors/404.html"}}}}).commit("Pages")
	digest := build(t, s, r.recipe()).Digest
	got, err := s.Texts(t.Context(), digest, []string{"./errors/404.html", "errors/404.html", "README"}, 100)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"./errors/404.html": "<p>ä", "errors/404.html": "<p>ä", "README": "hello\n"}, got); diff != "" {
		t.Error(diff)
	}
	for name, text := range map[string]string{
		"errors/500.html": "errors/500.html: it is not part of the release", "errors": "errors: it is not",
		"bin/link": "bin/link: it is not an ordinary file", "latin.html": "latin.html: it is not an ordinary file",
	} {
		_, err := s.Texts(t.Context(), digest, []string{"README", name}, 100)
		wantError(t, err, noon.Invalid, text)
	}
	if _, err := s.Texts(t.Context(), digest, []string{"README"}, 3); err == nil || !strings.Contains(err.Error(), "at most 3 bytes") {
		t.Errorf("a file above the limit: %v", err)
	}
}
