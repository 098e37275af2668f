package release

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const blobPrefix = "blobs/sha256/"

// Export writes the release as a tar of an OCI layout that holds nothing else,
// the same bytes every time. Tools that read OCI archives can read it.
func (s *Store) Export(ctx context.Context, digest string, w io.Writer) error {
	return wrap("export release", digest, s.export(ctx, digest, w))
}

func (s *Store) export(ctx context.Context, digest string, w io.Writer) error {
	o, err := s.openImage(ctx, digest)
	if err != nil {
		return err
	}
	defer o.close()
	desc := v1.Descriptor{MediaType: types.OCIManifestSchema1, Size: int64(len(o.raw)), Digest: o.digest}
	index, err := json.Marshal(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{desc}})
	if err != nil {
		return err
	}
	// Documents come first, so that a reader can judge before the bulk.
	parts := []part{
		{name: "oci-layout", size: int64(len(layoutFile)), r: bytes.NewReader([]byte(layoutFile))},
		{name: "index.json", size: int64(len(index)), r: bytes.NewReader(index)},
		o.part(o.digest, o.raw),
		o.part(o.manifest.Config.Digest, o.config),
	}
	layers := make([]part, 0, len(o.layers))
	for i, l := range o.manifest.Layers {
		layers = append(layers, part{name: blobPrefix + l.Digest.Hex, size: l.Size, r: cancelled{ctx, o.layers[i]}, sum: l.Digest.Hex})
	}
	slices.SortFunc(layers, func(a, b part) int { return cmp.Compare(a.name, b.name) })
	layers = slices.CompactFunc(layers, func(a, b part) bool { return a.name == b.name })
	tw := tar.NewWriter(w)
	for _, p := range append(parts, layers...) {
		if err := p.write(tw); err != nil {
			return err
		}
	}
	return tw.Close()
}

func (o *opened) part(h v1.Hash, data []byte) part {
	return part{name: blobPrefix + h.Hex, size: int64(len(data)), r: bytes.NewReader(data), sum: h.Hex}
}

// part is one file of an archive.
type part struct {
	name string
	size int64
	r    io.Reader
	sum  string // "" when it is not addressed by its content
}

// write fails after a damaged blob, before the archive is complete.
func (p part) write(tw *tar.Writer) error {
	h := &tar.Header{Name: p.name, Typeflag: tar.TypeReg, Size: p.size, Mode: 0o644, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := tw.WriteHeader(h); err != nil {
		return err
	}
	sum := &summer{w: tw, hash: sha256.New()}
	n, err := io.Copy(sum, io.LimitReader(p.r, p.size))
	if err != nil {
		return err
	}
	if n != p.size || p.sum != "" && hex.EncodeToString(sum.hash.Sum(nil)) != p.sum {
		return fmt.Errorf("read %s: %w", p.name, errAltered)
	}
	return nil
}
