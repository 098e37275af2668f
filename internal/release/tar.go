package release

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// writeTar writes entries in the one canonical form of a layer: in the given
// order, owned by 0:0 without names, modes 0644 and 0755, time zero (the time
// of the commit is in the image's config and set when it is unpacked, so that
// equal files give equal layers in every commit). What a release is called
// depends on every byte of this; TestDigestIsPinned guards it.
func writeTar(w io.Writer, entries []entry, open func(entry) (io.ReadCloser, error)) error {
	tw := tar.NewWriter(w)
	for _, e := range entries {
		if err := tw.WriteHeader(header(e)); err != nil {
			return fmt.Errorf("pack %s: %w", e.Path, err)
		}
		if e.Kind != regular {
			continue
		}
		if err := copyFile(tw, e, open); err != nil {
			return fmt.Errorf("pack %s: %w", e.Path, err)
		}
	}
	return tw.Close()
}

func copyFile(tw *tar.Writer, e entry, open func(entry) (io.ReadCloser, error)) error {
	f, err := open(e)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(tw, f)
	if errors.Is(err, tar.ErrWriteTooLong) || err == nil && n != e.Size {
		return fmt.Errorf("its size changed while it was read")
	}
	return err
}

func header(e entry) *tar.Header {
	h := &tar.Header{Name: e.Path, Format: tar.FormatPAX, ModTime: time.Unix(0, 0), Mode: 0o644}
	switch e.Kind {
	case directory:
		h.Typeflag, h.Name, h.Mode = tar.TypeDir, e.Path+"/", 0o755
	case symlink:
		h.Typeflag, h.Linkname, h.Mode = tar.TypeSymlink, e.Target, 0o755
	case regular:
		h.Typeflag, h.Size = tar.TypeReg, e.Size
		if e.Exec {
			h.Mode = 0o755
		}
	}
	return h
}

// readTar calls visit for every entry of a layer. It reads to the end of r, so
// that a hash around r has seen every byte.
func readTar(r io.Reader, visit func(entry, io.Reader) error) error {
	tr := tar.NewReader(r)
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		e, err := parse(h)
		if err != nil {
			return err
		}
		if err := visit(e, tr); err != nil {
			return err
		}
	}
	_, err := io.Copy(io.Discard, r)
	return err
}

func parse(h *tar.Header) (entry, error) {
	e := entry{Path: strings.TrimSuffix(h.Name, "/")}
	switch h.Typeflag {
	case tar.TypeReg:
		e.Kind, e.Size, e.Exec = regular, h.Size, h.Mode&0o100 != 0
		e.Path = h.Name
	case tar.TypeDir:
		e.Kind = directory
	case tar.TypeSymlink:
		e.Kind, e.Target = symlink, h.Linkname
	default:
		return entry{}, refused(fmt.Sprintf("%q", h.Name), fmt.Sprintf("a layer may not hold an entry of tar type %q", h.Typeflag), "")
	}
	return e, checkPath(e.Path)
}
