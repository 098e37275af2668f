package release_test

import "testing"

func TestFingerprint(t *testing.T) {
	t.Parallel()
	s := open(t)
	r := shop(t)
	mark := func(globs ...string) string {
		t.Helper()
		got, err := s.Fingerprint(t.Context(), build(t, s, r.recipe()).Digest, globs)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	static, readme := mark("static"), mark("README")
	if static == readme || mark("migrations") != "" {
		t.Errorf("fingerprints are %q, %q and %q", static, readme, mark("migrations"))
	}
	r.write("README", "changed\n").commit("Change")
	if mark("static") != static {
		t.Error("a file that is not chosen changed the fingerprint")
	}
	if mark("READ*") == readme {
		t.Error("changed content did not change the fingerprint")
	}
	r.git("mv", "static/app.js", "static/b.js")
	r.commit("Rename")
	if mark("static") == static {
		t.Error("another name did not change the fingerprint")
	}
}
