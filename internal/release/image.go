package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Labels of the image's config, in which a release describes itself.
const (
	labelFormat   = "dev.noon.format"
	labelManifest = "dev.noon.manifest"
	labelCommit   = "dev.noon.commit"
	labelTitle    = "dev.noon.title"
	labelDirty    = "dev.noon.dirty"
)

// format is the version of the canonical form. A reader refuses a newer one.
const format = 1

// maxDocument bounds manifests and configs, which are read into memory.
const maxDocument = 4 << 20

// Content is what a release says about itself.
type Content struct {
	Digest   string    // "sha256:…" of the OCI manifest
	Commit   string    // full git object name
	Title    string    // first line of the commit message
	Dirty    bool      // built from files that were not committed
	Size     int64     // bytes of its layers
	Time     time.Time // of the commit
	Manifest []byte    // noon.yaml as it was committed
}

// layer is a layer as mutate.Append wants it. Its content is already stored.
type layer struct {
	hash v1.Hash
	size int64
	open func() (io.ReadCloser, error)
}

func (l layer) Digest() (v1.Hash, error)             { return l.hash, nil }
func (l layer) DiffID() (v1.Hash, error)             { return l.hash, nil }
func (l layer) Compressed() (io.ReadCloser, error)   { return l.open() }
func (l layer) Uncompressed() (io.ReadCloser, error) { return l.open() }
func (l layer) Size() (int64, error)                 { return l.size, nil }
func (l layer) MediaType() (types.MediaType, error)  { return types.OCIUncompressedLayer, nil }

// assemble makes the image of layers and what c says about them.
func assemble(c Content, app string, layers []layer) (v1.Image, error) {
	created := v1.Time{Time: c.Time.UTC()}
	config := &v1.ConfigFile{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		Created:      created,
		RootFS:       v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
		Config: v1.Config{Labels: map[string]string{
			labelFormat:   strconv.Itoa(format),
			labelManifest: string(c.Manifest),
			labelCommit:   c.Commit,
			labelTitle:    c.Title,
			labelDirty:    strconv.FormatBool(c.Dirty),
		}},
	}
	img, err := mutate.ConfigFile(empty.Image, config)
	if err != nil {
		return nil, err
	}
	img = mutate.ConfigMediaType(mutate.MediaType(img, types.OCIManifestSchema1), types.OCIConfigJSON)
	for _, l := range layers {
		add := mutate.Addendum{Layer: l, MediaType: types.OCIUncompressedLayer, History: v1.History{Created: created, CreatedBy: "noon build"}}
		if img, err = mutate.Append(img, add); err != nil {
			return nil, err
		}
	}
	annotations := map[string]string{
		"org.opencontainers.image.title":    app,
		"org.opencontainers.image.revision": c.Commit,
		"org.opencontainers.image.created":  created.Format(time.RFC3339),
	}
	if c.Dirty {
		annotations[labelDirty] = "true"
	}
	annotated, ok := mutate.Annotations(img, annotations).(v1.Image)
	if !ok {
		return nil, errors.New("annotate the image: it is no image any more")
	}
	return annotated, nil
}

// opened is a stored image with every blob open, so that it can be read to
// the end even if it is pruned meanwhile.
type opened struct {
	digest   v1.Hash
	raw      []byte // the manifest
	config   []byte
	manifest *v1.Manifest
	layers   []*os.File
	content  Content
}

func (o *opened) close() {
	for _, f := range o.layers {
		f.Close()
	}
}

// Inspect returns what the release says about itself.
func (s *Store) Inspect(ctx context.Context, digest string) (Content, error) {
	o, err := s.openImage(ctx, digest)
	if err != nil {
		return Content{}, wrap("inspect release", digest, err)
	}
	defer o.close()
	return o.content, nil
}

func (s *Store) openImage(ctx context.Context, digest string) (*opened, error) {
	h, err := parseDigest(digest)
	if err != nil {
		return nil, err
	}
	unlock, err := s.lock(ctx, syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	defer unlock()
	index, err := s.readIndex()
	if err != nil {
		return nil, err
	}
	if position(index, h) < 0 {
		return nil, notFound("open release", digest)
	}
	return openFrom(h, func(h v1.Hash) (*os.File, error) { return os.Open(s.blob(h)) })
}

// openFrom opens an image whose blobs are given by get. The manifest and the
// config are verified, the layers are not: whoever reads them does it.
func openFrom(h v1.Hash, get func(v1.Hash) (*os.File, error)) (*opened, error) {
	raw, err := document(h, get)
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	o := &opened{digest: h, raw: raw}
	if o.manifest, err = v1.ParseManifest(bytes.NewReader(raw)); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if o.config, err = document(o.manifest.Config.Digest, get); err != nil {
		return nil, fmt.Errorf("read config: %w", err)
	}
	if o.content, err = o.describe(); err != nil {
		return nil, err
	}
	for _, l := range o.manifest.Layers {
		f, err := get(l.Digest)
		if err != nil {
			o.close()
			return nil, fmt.Errorf("open layer: %w", missing(err))
		}
		o.layers = append(o.layers, f)
	}
	return o, nil
}

// manifest reads and verifies the manifest of a stored image.
func (s *Store) manifest(h v1.Hash) (*v1.Manifest, error) {
	raw, err := document(h, func(h v1.Hash) (*os.File, error) { return os.Open(s.blob(h)) })
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return v1.ParseManifest(bytes.NewReader(raw))
}

// document reads a blob that is small enough for memory, and verifies it.
func document(h v1.Hash, get func(v1.Hash) (*os.File, error)) ([]byte, error) {
	f, err := get(h)
	if err != nil {
		return nil, missing(err)
	}
	defer f.Close()
	data, err := io.ReadAll(&bounded{r: f, left: maxDocument})
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(data); h.Algorithm != "sha256" || hex.EncodeToString(sum[:]) != h.Hex {
		return nil, errAltered
	}
	return data, nil
}

// missing makes a blob that is not there a case of damage.
func missing(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: a blob is missing", errAltered)
	}
	return err
}

func (o *opened) describe() (Content, error) {
	config, err := v1.ParseConfigFile(bytes.NewReader(o.config))
	if err != nil {
		return Content{}, fmt.Errorf("read config: %w", err)
	}
	labels := config.Config.Labels
	if n, err := strconv.Atoi(labels[labelFormat]); err != nil || n < 1 {
		return Content{}, errors.New("the image is not a release of noon")
	} else if n > format {
		return Content{}, fmt.Errorf("the release has format %d, this noon reads up to %d; upgrade noon", n, format)
	}
	c := Content{
		Digest:   o.digest.String(),
		Commit:   labels[labelCommit],
		Title:    labels[labelTitle],
		Dirty:    labels[labelDirty] == "true",
		Time:     config.Created.UTC(),
		Manifest: []byte(labels[labelManifest]),
	}
	for _, l := range o.manifest.Layers {
		c.Size += l.Size
	}
	return c, nil
}
