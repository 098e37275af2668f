package cert

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/noon-deploy/noon/internal/atomicfile"
)

// ticketKey encrypts session tickets from a time on. It begins later than it
// is made, so that every process of the machine knows it before any uses it.
type ticketKey struct {
	Key  []byte    `json:"key"`
	From time.Time `json:"from"`
}

const (
	ticketEvery = 24 * time.Hour     // a new key
	ticketAhead = 10 * time.Minute   // from making a key to using it
	ticketKeep  = 8 * 24 * time.Hour // a ticket is good for seven days
	ticketLen   = 32                 // bytes of a key
	ticketMost  = 64                 // more are not ours
)

// tickets keeps the keys of session tickets in a file, where the next process
// finds them: clients resume their sessions across an upgrade.
type tickets struct {
	path string
	now  func() time.Time
}

// keys gives the keys to use now, the one that encrypts first. It makes the
// file if there is none, and a new key when it is time. The caller holds the
// lock "tickets" if others may do the same.
func (t tickets) keys() ([][]byte, error) {
	all, err := t.read()
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		// What can not be read costs a handshake each, nothing else.
		all = nil
	}
	now := t.now()
	kept, newest := all[:0], time.Time{}
	for _, k := range all {
		if now.Sub(k.From) < ticketKeep && k.From.Sub(now) <= ticketEvery {
			kept = append(kept, k)
			newest = later(newest, k.From)
		}
	}
	changed := len(kept) != len(all)
	if len(kept) == 0 {
		kept, newest, changed = append(kept, ticketKey{newKey(), now}), now, true
	}
	if now.Sub(newest) >= ticketEvery {
		kept, changed = append(kept, ticketKey{newKey(), now.Add(ticketAhead)}), true
	}
	if changed {
		if err := t.write(kept); err != nil {
			return nil, err
		}
	}
	return inUse(kept, now), nil
}

// inUse puts the newest key that has begun first.
func inUse(all []ticketKey, now time.Time) [][]byte {
	first := 0
	for i, k := range all {
		if !k.From.After(now) && (all[first].From.After(now) || k.From.After(all[first].From)) {
			first = i
		}
	}
	keys := [][]byte{all[first].Key}
	for i, k := range all {
		if i != first {
			keys = append(keys, k.Key)
		}
	}
	return keys
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func newKey() []byte {
	key := make([]byte, ticketLen)
	_, _ = rand.Read(key) // never fails
	return key
}

func (t tickets) read() ([]ticketKey, error) {
	data, err := os.ReadFile(t.path)
	if err != nil {
		return nil, err
	}
	return decodeTickets(data)
}

func decodeTickets(data []byte) ([]ticketKey, error) {
	var all []ticketKey
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, err
	}
	if len(all) > ticketMost {
		return nil, fmt.Errorf("%d keys are too many", len(all))
	}
	for _, k := range all {
		if len(k.Key) != ticketLen {
			return nil, fmt.Errorf("a key has %d bytes, want %d", len(k.Key), ticketLen)
		}
	}
	return all, nil
}

func (t tickets) write(all []ticketKey) error {
	data, err := json.Marshal(all)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o700); err != nil {
		return err
	}
	return atomicfile.Write(t.path, data, 0o600)
}

// ticketKeysFor derives keys of one site: a session begun with one is never
// resumed with another, which may ask for a client's certificate.
func ticketKeysFor(keys [][]byte, scope string) [][ticketLen]byte {
	all := make([][ticketLen]byte, len(keys))
	for i, key := range keys {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(scope))
		copy(all[i][:], mac.Sum(nil))
	}
	return all
}
