package host

import (
	"strings"
	"testing"
)

// TestForms: what becomes the name of a directory has one form alone.
func TestForms(t *testing.T) {
	t.Parallel()
	hex := strings.Repeat("0123456789abcdef", 4)
	for digest, want := range map[string]bool{
		"sha256:" + hex: true, "": false, hex: false, "sha256:": false, "sha256:" + hex[1:]: false, "sha256:" + hex + "0": false,
		"sha256:" + strings.ToUpper(hex): false, "sha256:" + hex[:60] + "/../": false, "sha256:" + hex[:63] + "\n": false, "sha512:" + hex: false,
	} {
		if got := validDigest(digest); got != want {
			t.Errorf("digest %q: %v", digest, got)
		}
	}
	for id, want := range map[string]bool{
		"a": true, "shop@production.migrate-1_2": true, strings.Repeat("x", 200): true, strings.Repeat("x", 201): false,
		"": false, ".": false, "..": false, ".hidden": false, "-x": false, "a/b": false, "a b": false, "a\n": false, "ä": false, "aä": false,
	} {
		if got := validTask(id); got != want {
			t.Errorf("task %q: %v", id, got)
		}
	}
}
