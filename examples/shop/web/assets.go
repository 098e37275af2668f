package web

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/noon-deploy/noon/examples/shop/store"
)

//go:embed static
var static embed.FS

// assets are files whose names hold the hash of their content, so that a
// browser may keep them for ever. Every release publishes its own into a
// directory that all releases read: a page that an older or newer release has
// made finds its style and script whichever release is asked.
type assets struct {
	dir   string
	names map[string]string // "style.css" → "style.1a2b3c4d5e6f.css"
	files map[string][]byte // by hashed name
}

var hashedName = regexp.MustCompile(`^[a-z0-9-]+\.[0-9a-f]{12}\.[a-z0-9]+$`)

// publish reads this release's assets and writes those that are not there yet.
func publish(dir string) (*assets, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("make assets directory: %w", err)
	}
	a := &assets{dir: dir, names: map[string]string{}, files: map[string][]byte{}}
	err := fs.WalkDir(static, "static", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := static.ReadFile(file)
		if err != nil {
			return err
		}
		base := path.Base(file)
		sum := sha256.Sum256(data)
		extension := path.Ext(base)
		name := strings.TrimSuffix(base, extension) + "." + hex.EncodeToString(sum[:6]) + extension
		a.names[base], a.files[name] = name, data
		return a.write(name, data)
	})
	if err != nil {
		return nil, fmt.Errorf("publish assets: %w", err)
	}
	return a, nil
}

func (a *assets) write(name string, data []byte) error {
	target := filepath.Join(a.dir, name)
	if _, err := os.Stat(target); err == nil {
		return nil // the name says what is in it
	}
	tmp, err := os.CreateTemp(a.dir, ".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), target)
}

// url is where a page finds an asset; it fails for a name that does not exist.
func (a *assets) url(name string) (string, error) {
	hashed, ok := a.names[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return "/assets/" + hashed, nil
}

func (s *Server) asset(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	data, ok := s.assets.files[name]
	if !ok && hashedName.MatchString(name) {
		var err error
		data, err = os.ReadFile(filepath.Join(s.assets.dir, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			s.fail(w, r, fmt.Errorf("read asset: %w", err))
			return
		}
		ok = err == nil
	}
	if !ok {
		s.fail(w, r, fmt.Errorf("asset %s: %w", name, store.ErrNotFound))
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(name)))
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	_, _ = w.Write(data) // the customer has gone: nobody is left to tell
}
