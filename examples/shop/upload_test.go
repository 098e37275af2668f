package main_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"mime/multipart"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

var png = append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte("picture "), 4000)...)

func multi(t *testing.T, content []byte) (string, []byte) {
	t.Helper()
	var out bytes.Buffer
	w := multipart.NewWriter(&out)
	part, err := w.CreateFormFile("image", "x.png")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := part.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return w.FormDataContentType(), out.Bytes()
}

func TestUploads(t *testing.T) {
	t.Parallel()
	at := sqlite(t)
	shop := startWeb(t, at)
	c := browser(t)
	kind, form := multi(t, png)

	// A customer who is gone in the middle leaves nothing.
	conn, err := net.Dial("tcp", strings.TrimPrefix(shop.base, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	send(t, conn, "POST /products/kite/images HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", kind, len(form), form[:20000])
	files := func(pattern string) int {
		found, err := filepath.Glob(filepath.Join(at.dir, "uploads", pattern))
		if err != nil {
			t.Fatal(err)
		}
		return len(found)
	}
	until(t, "the part is being written", func() bool { return files(".part-*") == 1 })
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
	until(t, "the part is gone", func() bool { return files(".part-*") == 0 })

	for name, tc := range map[string]struct {
		kind   string
		body   []byte
		status int
	}{
		"cut form":      {kind, form[:len(form)-10], http.StatusBadRequest},
		"no form":       {"text/plain", png, http.StatusBadRequest},
		"not a picture": {kind, bytes.ReplaceAll(form, []byte("\x89PNG"), []byte("text")), http.StatusBadRequest},
		"too large":     {kind, append(bytes.Clone(form[:20000]), make([]byte, 17<<20)...), http.StatusRequestEntityTooLarge},
	} {
		q, err := http.NewRequestWithContext(t.Context(), http.MethodPost, shop.base+"/products/kite/images", bytes.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", tc.kind)
		q.Header.Set("Accept", "application/json")
		r, err := c.Do(q)
		if status, text := body(t, r, err); status != tc.status {
			t.Errorf("%s: %d %s", name, status, text)
		}
	}
	if files("*") != 0 {
		t.Error("something was left")
	}

	sum := sha256.Sum256(png)
	sha := hex.EncodeToString(sum[:])
	r, err := c.Post(shop.base+"/products/kite/images", kind, bytes.NewReader(form))
	if status, text := body(t, r, err); status != http.StatusCreated || !strings.Contains(text, sha) || !strings.Contains(text, fmt.Sprintf(`"size":%d`, len(png))) {
		t.Error(status, text)
	}
	if status, text := get(t, c, shop.base+"/uploads/"+sha); status != http.StatusOK || text != string(png) {
		t.Error(status, len(text))
	}
	for _, path := range []string{"/uploads/" + strings.Repeat("0", 64), "/uploads/..%2fshop.db"} {
		if status, _ := get(t, c, shop.base+path); status != http.StatusNotFound {
			t.Error(path, status)
		}
	}
}
