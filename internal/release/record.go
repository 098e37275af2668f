package release

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// record is kept in every unpacked release, so that it can be verified where
// the store does not have it any more. It proves itself: the manifest hashes
// to the digest, and the layers that it names can be written again from the
// entries and the files.
type record struct {
	Digest   string    `json:"digest"`
	Manifest string    `json:"manifest"` // the OCI manifest, byte for byte
	Layers   [][]entry `json:"layers"`
}

// maxRecord bounds a record that is read; maxEntries of usual length fit.
const maxRecord = 256 << 20

var errNoRecord = errors.New("it is not an unpacked release: " + recordName + " is missing")

func readRecord(root *os.Root) (*record, error) {
	info, err := root.Lstat(recordName)
	if errors.Is(err, os.ErrNotExist) {
		return nil, errNoRecord
	}
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxRecord {
		return nil, fmt.Errorf("%s is not an ordinary file", recordName)
	}
	data, err := root.ReadFile(recordName)
	if err != nil {
		return nil, err
	}
	var r record
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("%w: read %s: %w", errAltered, recordName, err)
	}
	return &r, nil
}

// proven returns the manifest if it is the one that the digest names.
func (r *record) proven(h v1.Hash) (*v1.Manifest, error) {
	if sum := sha256.Sum256([]byte(r.Manifest)); hex.EncodeToString(sum[:]) != h.Hex {
		return nil, fmt.Errorf("%w: %s belongs to %s", errAltered, recordName, r.Digest)
	}
	m, err := v1.ParseManifest(bytes.NewReader([]byte(r.Manifest)))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	if len(m.Layers) != len(r.Layers) {
		return nil, fmt.Errorf("%w: %s has %d layers, the manifest %d", errAltered, recordName, len(r.Layers), len(m.Layers))
	}
	return m, nil
}

func (r *record) entries() []entry {
	var all []entry
	for _, l := range r.Layers {
		all = append(all, l...)
	}
	sortEntries(all)
	return all
}
