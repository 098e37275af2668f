package host

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/noon-deploy/noon"
)

// labels tell what a process is: an instance or a task.
type labels struct {
	Site        noon.Site     `json:"site"`
	Revision    noon.Revision `json:"revision"`
	Digest      string        `json:"digest"`
	Task        string        `json:"task,omitempty"`
	Service     noon.Service  `json:"service"`
	Index       int           `json:"index"`
	Incarnation int           `json:"incarnation"`
	Content     string        `json:"content,omitempty"` // of a task: what it was asked to be
	Epoch       int64         `json:"epoch,omitempty"`   // of a task
}

const labelKey = "noon"

func (l labels) pack() (map[string]string, error) {
	data, err := json.Marshal(l)
	if err != nil {
		return nil, err
	}
	return map[string]string{labelKey: string(data)}, nil
}

func parseLabels(m map[string]string) (labels, error) {
	var l labels
	text, ok := m[labelKey]
	if !ok {
		return l, errors.New("it has no label")
	}
	if err := json.Unmarshal([]byte(text), &l); err != nil {
		return l, fmt.Errorf("read label: %w", err)
	}
	return l, nil
}

// slot is a place for one instance.
type slot struct {
	Revision noon.Revision
	Service  string
	Index    int
}

func (l labels) slot() slot { return slot{l.Revision, l.Service.Name, l.Index} }

func (s slot) String() string { return fmt.Sprintf("%s_%s_%d", s.Revision, s.Service, s.Index) }

// instanceID is deterministic: whoever starts the same incarnation again
// starts nothing.
func instanceID(site noon.Site, s slot, incarnation int) string {
	return fmt.Sprintf("%s_%s_%d", site.Key(), s, incarnation)
}

// digestOf gives a short name of any value.
func digestOf(value any) (string, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), nil
}
