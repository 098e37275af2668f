package release

import (
	"bytes"
	"io"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// File is what the seam of SetCreate returns.
type File = file

// SetCreate replaces how the store opens files for writing.
func (s *Store) SetCreate(create func(root *os.Root, name string) (File, error)) { s.create = create }

// CreateFile is what SetCreate replaces.
var CreateFile = createFile

// RecordName is the file that Unpack adds.
const RecordName = recordName

// Covers exposes the globs of build.files.
func Covers(glob, p string) bool { return covers(strings.Split(glob, "/"), strings.Split(p, "/")) }

// TarEntry is one entry of a canonical layer.
type TarEntry struct{ Name, Content, Link string }

// CanonicalLayer writes a layer as Build would, without its checks.
func CanonicalLayer(w io.Writer, list []TarEntry) error {
	var entries []entry
	content := map[string]string{}
	for _, l := range list {
		e := entry{Path: strings.TrimSuffix(l.Name, "/"), Kind: regular, Size: int64(len(l.Content)), Target: l.Link}
		switch {
		case l.Link != "":
			e.Kind, e.Size = symlink, 0
		case strings.HasSuffix(l.Name, "/"):
			e.Kind = directory
		}
		content[e.Path] = l.Content
		entries = append(entries, e)
	}
	return writeTar(w, entries, func(e entry) (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(content[e.Path])), nil
	})
}

// AssembleBlobs gives config and manifest of an image with one layer.
func AssembleBlobs(manifest []byte, layerTar []byte) (config, image []byte, err error) {
	h, size, err := v1.SHA256(bytes.NewReader(layerTar))
	if err != nil {
		return nil, nil, err
	}
	img, err := assemble(Content{Commit: strings.Repeat("1", 40), Time: time.Unix(1, 0), Manifest: manifest}, "shop", []layer{{hash: h, size: size}})
	if err != nil {
		return nil, nil, err
	}
	if config, err = img.RawConfigFile(); err != nil {
		return nil, nil, err
	}
	image, err = img.RawManifest()
	return config, image, err
}
