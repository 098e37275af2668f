package release

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/noon-deploy/noon"
)

// maxBlobs bounds the files in an archive.
const maxBlobs = 256

// Import stores the release in a tar that Export wrote. It trusts nothing:
// names, sizes and digests are checked, and the layers are read through,
// before the release is visible.
func (s *Store) Import(ctx context.Context, r io.Reader) (Content, error) {
	c, err := s.importFrom(ctx, r)
	if err == nil {
		return c, nil
	}
	if ctx.Err() == nil {
		err = judge(err)
	}
	return Content{}, wrap("import release", "", err)
}

// judge lays errors on the archive that are not those of this machine.
func judge(err error) error {
	var path *os.PathError
	var link *os.LinkError
	var call *os.SyscallError
	var known *noon.Error
	switch {
	case errors.As(err, &path), errors.As(err, &link), errors.As(err, &call):
		return err
	case errors.As(err, &known) && known.Kind != noon.Invalid:
		return err
	}
	return hostile("%w", err)
}

func (s *Store) importFrom(ctx context.Context, r io.Reader) (c Content, err error) {
	g, err := s.newStage(ctx)
	if err != nil {
		return Content{}, err
	}
	defer func() { err = errors.Join(err, g.close()) }()
	// What is not content (headers, padding, manifests) fits in the margin.
	limit := s.MaxSize + s.MaxSize/8 + 64<<20
	a := archive{stage: g, documents: map[string][]byte{}, left: limit}
	if err := a.read(&bounded{r: cancelled{ctx, r}, left: limit}); err != nil {
		return Content{}, err
	}
	desc, err := a.image()
	if err != nil {
		return Content{}, err
	}
	o, err := openFrom(desc.Digest, g.open)
	if err != nil {
		return Content{}, err
	}
	defer o.close()
	if err := a.complete(desc, o); err != nil {
		return Content{}, err
	}
	if err := s.checkLayers(ctx, o); err != nil {
		return Content{}, err
	}
	return o.content, g.commit(ctx, desc)
}

// archive is an OCI layout that arrives as a tar.
type archive struct {
	stage     *stage
	documents map[string][]byte // oci-layout and index.json
	left      int64             // bytes that blobs may still have; a sparse file is larger than what was sent
}

func (a *archive) read(r io.Reader) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag == tar.TypeDir && (h.Name == "blobs/" || h.Name == blobPrefix) {
			continue // other tools write them
		}
		if h.Typeflag != tar.TypeReg {
			return fmt.Errorf("%q is not a plain file", h.Name)
		}
		if err := a.file(h, tr); err != nil {
			return err
		}
	}
}

func (a *archive) file(h *tar.Header, r io.Reader) error {
	if digits, ok := strings.CutPrefix(h.Name, blobPrefix); ok {
		return a.blob(digits, h, r)
	}
	if h.Name != "oci-layout" && h.Name != "index.json" {
		return fmt.Errorf("%q does not belong into an OCI layout", h.Name)
	}
	if _, dup := a.documents[h.Name]; dup {
		return fmt.Errorf("%s is there twice", h.Name)
	}
	data, err := io.ReadAll(&bounded{r: r, left: maxDocument})
	a.documents[h.Name] = data
	return err
}

func (a *archive) blob(digits string, h *tar.Header, r io.Reader) error {
	want, err := v1.NewHash("sha256:" + digits)
	if err != nil {
		return fmt.Errorf("%q is not the name of a blob", h.Name)
	}
	if _, dup := a.stage.blobs[want]; dup {
		return fmt.Errorf("%s is there twice", h.Name)
	}
	if len(a.stage.blobs) >= maxBlobs {
		return fmt.Errorf("there are more than %d blobs", maxBlobs)
	}
	if a.left -= h.Size; a.left < 0 {
		return fmt.Errorf("%s is larger than allowed", h.Name)
	}
	got, _, err := a.stage.write(func(w io.Writer) error {
		_, err := io.Copy(w, r)
		return err
	})
	if err == nil && got != want {
		err = fmt.Errorf("read %s: %w", h.Name, errAltered)
	}
	return err
}

// image finds the one image of the archive.
func (a *archive) image() (v1.Descriptor, error) {
	var version struct {
		Version string `json:"imageLayoutVersion"`
	}
	if err := json.Unmarshal(a.documents["oci-layout"], &version); err != nil || version.Version != "1.0.0" {
		return v1.Descriptor{}, errors.New("it is not an OCI layout of version 1.0.0, or ends too early")
	}
	if a.documents["index.json"] == nil {
		return v1.Descriptor{}, errors.New("index.json is missing")
	}
	index, err := v1.ParseIndexManifest(bytes.NewReader(a.documents["index.json"]))
	if err != nil {
		return v1.Descriptor{}, fmt.Errorf("read index.json: %w", err)
	}
	if len(index.Manifests) != 1 {
		return v1.Descriptor{}, fmt.Errorf("it holds %d images, want one", len(index.Manifests))
	}
	got := index.Manifests[0]
	if got.MediaType != types.OCIManifestSchema1 || a.stage.blobs[got.Digest] != got.Size {
		return v1.Descriptor{}, fmt.Errorf("index.json names an image that is not there: %s", got.Digest)
	}
	// Only what noon relies on is taken over.
	return v1.Descriptor{MediaType: got.MediaType, Size: got.Size, Digest: got.Digest}, nil
}

// complete checks that the archive holds every blob of the image, with the
// size that its manifest says, and nothing more.
func (a *archive) complete(desc v1.Descriptor, o *opened) error {
	if o.manifest.MediaType != types.OCIManifestSchema1 || o.manifest.Config.MediaType != types.OCIConfigJSON {
		return errors.New("the image is not of the OCI media types")
	}
	parts := append([]v1.Descriptor{o.manifest.Config}, o.manifest.Layers...)
	named := map[v1.Hash]bool{desc.Digest: true}
	for _, d := range parts {
		if size, ok := a.stage.blobs[d.Digest]; !ok || size != d.Size {
			return fmt.Errorf("blob %s is missing or not of the size that the manifest says", d.Digest)
		}
		named[d.Digest] = true
	}
	for h := range a.stage.blobs {
		if !named[h] {
			return fmt.Errorf("blob %s does not belong to the image", h)
		}
	}
	return nil
}

// checkLayers refuses layers that Unpack would not make the same tree of
// everywhere, or that are not in the canonical form: they could hide content
// and could not be verified once they are unpacked.
func (s *Store) checkLayers(ctx context.Context, o *opened) error {
	config, err := v1.ParseConfigFile(bytes.NewReader(o.config))
	if err != nil {
		return err
	}
	if len(config.RootFS.DiffIDs) != len(o.manifest.Layers) {
		return errors.New("the config does not name the layers of the manifest")
	}
	var all []entry
	for i, want := range o.manifest.Layers {
		if want.MediaType != types.OCIUncompressedLayer || config.RootFS.DiffIDs[i] != want.Digest {
			return fmt.Errorf("layer %s is not an uncompressed tar", want.Digest)
		}
		entries, err := checkLayer(cancelled{ctx, o.layers[i]}, want, len(all))
		if err != nil {
			return fmt.Errorf("read layer %s: %w", want.Digest, err)
		}
		all = append(all, entries...)
	}
	if err := errors.Join(checkTree(all), s.checkSize(all)); err != nil {
		return err
	}
	return checkManifest(all, o.content.Manifest)
}

func checkLayer(r io.Reader, want v1.Descriptor, before int) ([]entry, error) {
	sum := &summer{w: io.Discard, hash: sha256.New()}
	tw := tar.NewWriter(sum)
	var entries []entry
	err := readTar(r, func(e entry, content io.Reader) error {
		if before+len(entries) >= maxEntries || e.Size > want.Size {
			return fmt.Errorf("the release has more than %d files, or one larger than its layer", maxEntries)
		}
		if err := tw.WriteHeader(header(e)); err != nil {
			return err
		}
		file := &summer{w: tw, hash: sha256.New()}
		if _, err := io.Copy(file, content); err != nil {
			return err
		}
		if e.Kind == regular {
			e.Sum = hex.EncodeToString(file.hash.Sum(nil))
		}
		entries = append(entries, e)
		return nil
	})
	if err == nil {
		err = tw.Close()
	}
	if err == nil && hex.EncodeToString(sum.hash.Sum(nil)) != want.Digest.Hex {
		err = errors.New("it is not in the canonical form that noon writes")
	}
	return entries, err
}

// checkManifest refuses a release whose noon.yaml is not the one it describes
// itself with.
func checkManifest(entries []entry, manifest []byte) error {
	sum := sha256.Sum256(manifest)
	for _, e := range entries {
		if e.Path == manifestName && e.Kind == regular && e.Sum == hex.EncodeToString(sum[:]) {
			return nil
		}
	}
	return fmt.Errorf("%s is missing or not the one of the image's labels", manifestName)
}
