package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/atomicfile"
)

// stored is the file of what is desired of a site.
type stored struct {
	Desired noon.Desired `json:"desired"`
	Cleared bool         `json:"cleared,omitempty"` // Clear took it back; the fence stays
}

// Apply stores what shall be and returns; Run makes it so. An older fence than
// one it knows is refused as noon.Stale; the same fence with other content, and
// a revision that is not what it was, as noon.Conflict.
func (h *Host) Apply(_ context.Context, d noon.Desired) error {
	if err := check(d); err != nil {
		return err
	}
	s := h.site(d.Site)
	s.applying.Lock()
	defer s.applying.Unlock()
	have, epoch := s.accepted()
	if same, err := admissible(have, epoch, d); err != nil || same {
		return err
	}
	h.cfg.Faults.Point("host.desired.before")
	if err := s.store(stored{Desired: d}); err != nil {
		return err
	}
	h.cfg.Faults.Point("host.desired.stored")
	for _, r := range d.Revisions {
		if have == nil || !names(have.Desired, r.Revision) {
			h.releases.doubt(r.Digest)
		}
	}
	s.poke()
	h.untidy() // it may leave a release out
	return nil
}

// names reports whether a revision is desired.
func names(d noon.Desired, r noon.Revision) bool {
	return slices.ContainsFunc(d.Revisions, func(have noon.DesiredRevision) bool { return have.Revision == r })
}

// admissible reports whether d is what is stored already, or why it is refused.
func admissible(have *stored, epoch int64, d noon.Desired) (bool, error) {
	refuse := func(kind noon.ErrorKind, why, hint string) error {
		return &noon.Error{Kind: kind, Op: "apply to", Subject: d.Site.String(), Err: errors.New(why), Hint: hint}
	}
	if d.Fence.Epoch < epoch {
		return false, refuse(noon.Stale, fmt.Sprintf("epoch %d is older than %d", d.Fence.Epoch, epoch), "A newer controller has taken over this site.")
	}
	if have == nil {
		return false, nil
	}
	order := d.Fence.Compare(have.Desired.Fence)
	switch {
	case order < 0:
		return false, refuse(noon.Stale, fmt.Sprintf("fence %s is older than %s", d.Fence, have.Desired.Fence), "A newer controller or a newer state has taken over this site.")
	case have.Cleared:
		return false, nil
	case order == 0 && sameJSON(d, have.Desired):
		return true, nil
	case order == 0:
		return false, refuse(noon.Conflict, fmt.Sprintf("fence %s was used for something else", d.Fence), "Every state needs a generation of its own.")
	}
	for _, r := range d.Revisions {
		if what := differs(have.Desired, r); what != "" {
			return false, refuse(noon.Conflict, fmt.Sprintf("revision %s has another %s than before", r.Revision, what), "Revisions never change. A new configuration needs a new revision.")
		}
	}
	return false, nil
}

// differs tells what of a revision is not as it was. The number of instances,
// the share and the preview may change.
func differs(have noon.Desired, r noon.DesiredRevision) string {
	for _, old := range have.Revisions {
		if old.Revision != r.Revision {
			continue
		}
		if old.Digest != r.Digest {
			return "digest"
		}
		if len(old.Instances) > 0 && !maps.Equal(old.Env, r.Env) {
			return "environment" // which variable is not said: it may be a secret
		}
		for _, was := range old.Instances {
			for _, is := range r.Instances {
				was.Service.Instances, is.Service.Instances = 0, 0
				if was.Service.Name == is.Service.Name && !sameJSON(was.Service, is.Service) {
					return "service " + is.Service.Name
				}
			}
		}
	}
	return ""
}

func sameJSON(a, b any) bool {
	x, xerr := digestOf(a)
	y, yerr := digestOf(b)
	return xerr == nil && yerr == nil && x == y
}

// validDigest reports whether a digest has the only form that becomes a
// directory name. An expression would cost a millisecond at every start of any
// of noon's processes.
func validDigest(digest string) bool {
	hex, ok := strings.CutPrefix(digest, "sha256:")
	return ok && len(hex) == 64 && strings.Trim(hex, "0123456789abcdef") == ""
}

// check refuses what can never be made so.
func check(d noon.Desired) error {
	invalid := func(format string, args ...any) error {
		return &noon.Error{Kind: noon.Invalid, Op: "apply to", Subject: d.Site.String(), Err: fmt.Errorf(format, args...), Hint: "This is a mistake in what sent it; nothing was changed."}
	}
	if err := errors.Join(noon.ValidName(d.Site.App), noon.ValidName(d.Site.Environment)); err != nil {
		return invalid("site: %w", err)
	}
	whole, seen := 0, map[noon.Revision]bool{}
	for _, r := range d.Revisions {
		if r.Revision.Release < 1 || r.Revision.Config < 0 || seen[r.Revision] {
			return invalid("revision %s is impossible or there twice", r.Revision)
		}
		seen[r.Revision] = true
		if !validDigest(r.Digest) {
			return invalid("revision %s: %q is no digest", r.Revision, r.Digest)
		}
		if r.Share < 0 {
			return invalid("revision %s: its share is negative", r.Revision)
		}
		whole += r.Share
		if err := checkServices(r); err != nil {
			return invalid("revision %s: %w", r.Revision, err)
		}
	}
	if whole != 0 && whole != noon.PointsWhole {
		return invalid("the shares sum up to %d and not to %d", whole, noon.PointsWhole)
	}
	for _, segment := range d.Segments {
		if !seen[segment.Revision] {
			return invalid("segment %s goes to %s, which is not among the revisions", segment.Name, segment.Revision)
		}
	}
	if h := d.Hold; h != nil && (h.Until.IsZero() || h.Limit <= 0 || h.Most < 1) {
		return invalid("a hold needs a limit, a number of requests and an end")
	}
	return nil
}

func checkServices(r noon.DesiredRevision) error {
	seen := map[string]bool{}
	for _, i := range r.Instances {
		if err := noon.ValidName(i.Service.Name); err != nil {
			return err
		}
		if seen[i.Service.Name] {
			return fmt.Errorf("service %s is there twice", i.Service.Name)
		}
		seen[i.Service.Name] = true
		if len(i.Service.Command) == 0 || i.Count < 0 || i.Count > 1000 {
			return fmt.Errorf("service %s has no command or an impossible count (%d)", i.Service.Name, i.Count)
		}
		if dir := i.Service.Dir; dir != "" && !filepath.IsLocal(dir) {
			return fmt.Errorf("service %s: directory %q is not inside the release", i.Service.Name, dir)
		}
	}
	return nil
}

// accepted gives what is stored, nil if nothing is, and the highest epoch.
func (s *site) accepted() (*stored, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.desired, s.epoch
}

// store makes d what is desired, durably.
func (s *site) store(d stored) error {
	if err := writeJSON(s.file(desiredDir), d); err != nil {
		return &noon.Error{Kind: noon.Failure, Op: "store what is desired of", Subject: s.name.String(), Err: err, Hint: "Is the disk of noon's data directory full?"}
	}
	s.mu.Lock()
	s.desired, s.broken = &d, nil
	s.epoch = max(s.epoch, d.Desired.Fence.Epoch)
	s.mu.Unlock()
	return nil
}

func (s *site) file(kind string) string {
	return filepath.Join(s.host.cfg.Dir, kind, s.name.Key()+".json")
}

func writeJSON(path string, value any) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return atomicfile.Write(path, data, 0o600)
}

// readJSON gives false if there is no such file.
func readJSON(path string, value any) (bool, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := json.Unmarshal(data, value); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return true, nil
}
