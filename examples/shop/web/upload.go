package web

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon/examples/shop/store"
)

const (
	maxUpload  = 16 << 20
	partPrefix = ".part-"
)

// imageTypes are what customers may send.
func imageTypes() []string { return []string{"image/png", "image/jpeg", "image/gif", "image/webp"} }

// upload takes a picture of a product: multipart, field "image".
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	p, err := s.store.Product(r.Context(), r.PathValue("slug"))
	if err != nil {
		s.fail(w, r, err)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxUpload)
	image, err := s.receive(r)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	if err := s.store.AddImage(r.Context(), p.ID, image); err != nil {
		s.fail(w, r, err)
		return
	}
	if strings.Contains(r.Header.Get("Accept"), "text/html") {
		http.Redirect(w, r, "/products/"+p.Slug, http.StatusSeeOther)
		return
	}
	writeJSON(w, http.StatusCreated, struct {
		store.Image
		URL string `json:"url"`
	}{image, "/uploads/" + image.SHA256})
}

// receive streams the picture to a file. When it returns without an error the
// file is durable under the name of its content; otherwise there is no file.
func (s *Server) receive(r *http.Request) (store.Image, error) {
	form, err := r.MultipartReader()
	if err != nil {
		return store.Image{}, &badRequestError{"Please send the picture as a form."}
	}
	for {
		part, err := form.NextPart()
		if errors.Is(err, io.EOF) {
			return store.Image{}, &badRequestError{"There was no picture in the form."}
		}
		if err != nil {
			return store.Image{}, readError(err)
		}
		if part.FormName() != "image" {
			continue
		}
		image, tmp, err := s.save(part)
		if err == nil {
			// The form must end as it should: what was cut off is not kept.
			if _, end := form.NextPart(); !errors.Is(end, io.EOF) {
				err = &badRequestError{"The form was cut off or holds more than one picture."}
			}
		}
		if err == nil {
			err = s.keep(tmp, image.SHA256)
		}
		if err != nil && tmp != "" {
			err = errors.Join(err, os.Remove(tmp))
		}
		return image, err
	}
}

// save writes the picture to a temporary file and syncs it.
func (s *Server) save(from io.Reader) (image store.Image, tmp string, err error) {
	file, err := os.CreateTemp(s.uploads(), partPrefix+"*")
	if err != nil {
		return image, "", fmt.Errorf("store upload: %w", err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	head := make([]byte, 512)
	n, err := io.ReadFull(from, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) || n == 0 {
		return image, file.Name(), readError(err)
	}
	image.Type = http.DetectContentType(head[:n])
	if !slices.Contains(imageTypes(), image.Type) {
		return image, file.Name(), &badRequestError{"That is not a picture: PNG, JPEG, GIF or WebP, please."}
	}
	sum := sha256.New()
	out := io.MultiWriter(file, sum)
	if _, err := out.Write(head[:n]); err != nil {
		return image, file.Name(), fmt.Errorf("store upload: %w", err)
	}
	rest, err := io.Copy(out, from)
	if err != nil {
		return image, file.Name(), readError(err)
	}
	if err := file.Sync(); err != nil {
		return image, file.Name(), fmt.Errorf("store upload: %w", err)
	}
	image.SHA256, image.Size = hex.EncodeToString(sum.Sum(nil)), int64(n)+rest
	return image, file.Name(), nil
}

// keep gives the file its name and makes the name durable.
func (s *Server) keep(tmp, sha string) error {
	if err := os.Rename(tmp, filepath.Join(s.uploads(), sha)); err != nil {
		return fmt.Errorf("keep upload: %w", err)
	}
	dir, err := os.Open(s.uploads())
	if err != nil {
		return fmt.Errorf("keep upload: %w", err)
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return fmt.Errorf("keep upload: %w", err)
	}
	return nil
}

// readError tells what the client did wrong from what the disk did.
func readError(err error) error {
	var large *http.MaxBytesError
	var disk *fs.PathError
	if errors.As(err, &large) || errors.As(err, &disk) {
		return err
	}
	return &badRequestError{"The picture was cut off on the way."}
}

func (s *Server) uploads() string { return filepath.Join(s.config.DataDir, "uploads") }

var shaName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// uploaded returns a picture.
func (s *Server) uploaded(w http.ResponseWriter, r *http.Request) {
	sha := r.PathValue("sha")
	if !shaName.MatchString(sha) {
		s.notFound(w, r)
		return
	}
	kind, err := s.store.ImageType(r.Context(), sha)
	if err != nil {
		s.fail(w, r, err)
		return
	}
	file, err := os.Open(filepath.Join(s.uploads(), sha))
	if err != nil {
		s.fail(w, r, fmt.Errorf("open upload: %w", err))
		return
	}
	defer file.Close()
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, file)
}

// RemoveCutUploads removes what uploads left that were running when a process
// was killed: parts that nobody has written to for an hour.
func RemoveCutUploads(dataDir string) error {
	parts, err := filepath.Glob(filepath.Join(dataDir, "uploads", partPrefix+"*"))
	if err != nil {
		return fmt.Errorf("look for cut uploads: %w", err)
	}
	for _, part := range parts {
		info, err := os.Stat(part)
		if err != nil || time.Since(info.ModTime()) < time.Hour {
			continue // finished meanwhile, or still running
		}
		if err := os.Remove(part); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cut upload: %w", err)
		}
	}
	return nil
}
