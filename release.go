package noon

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Release is an immutable artifact: the files of one commit with its
// noon.yaml, addressed by the digest of its OCI manifest.
type Release struct {
	App    string    `json:"app"`
	Number int       `json:"number"` // 1, 2, … per app, in the order of arrival
	Digest string    `json:"digest"` // "sha256:…"
	Commit string    `json:"commit"` // full git object name
	Dirty  bool      `json:"dirty,omitempty"`
	Title  string    `json:"title,omitempty"` // first line of the commit message
	Size   int64     `json:"size"`            // bytes of content
	Added  time.Time `json:"added"`
}

// Name is how people call the release: "r42".
func (r Release) Name() string { return ReleaseName(r.Number) }

// ReleaseName gives "r42" for 42.
func ReleaseName(number int) string { return "r" + strconv.Itoa(number) }

// ParseReleaseName gives 42 for "r42".
func ParseReleaseName(name string) (int, error) {
	digits, ok := strings.CutPrefix(name, "r")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || digits[0] == '0' || digits[0] == '+' {
		return 0, fmt.Errorf("%q is not a release name such as r42", name)
	}
	return n, nil
}

// Revision is a release together with the version of the environment's
// configuration it runs with. Two instances of one revision are
// interchangeable; of two revisions never.
type Revision struct {
	Release int `json:"release"` // Release.Number, from 1
	Config  int `json:"config"`  // version of the environment's configuration, from 0
}

// IsZero reports whether there is no revision.
func (r Revision) IsZero() bool { return r == Revision{} }

// String is the name of the revision: "r42.c3".
func (r Revision) String() string {
	if r.IsZero() {
		return "none"
	}
	return fmt.Sprintf("r%d.c%d", r.Release, r.Config)
}

// ParseRevision is the inverse of Revision.String.
func ParseRevision(s string) (Revision, error) {
	release, config, ok := strings.Cut(s, ".c")
	n, err := ParseReleaseName(release)
	c, cerr := strconv.Atoi(config)
	if !ok || err != nil || cerr != nil || c < 0 || strconv.Itoa(c) != config {
		return Revision{}, fmt.Errorf("%q is not a revision such as r42.c3", s)
	}
	return Revision{Release: n, Config: c}, nil
}

// Site is one app in one environment: the unit that is deployed, fenced and
// routed.
type Site struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
}

// String gives "shop/production".
func (s Site) String() string { return s.App + "/" + s.Environment }

// Key gives a name that is safe as a file name: "shop@production".
func (s Site) Key() string { return s.App + "@" + s.Environment }

// ParseSiteKey is the inverse of Site.Key.
func ParseSiteKey(key string) (Site, error) {
	app, env, ok := strings.Cut(key, "@")
	if !ok || ValidName(app) != nil || ValidName(env) != nil {
		return Site{}, fmt.Errorf("%q is not a site such as shop@production", key)
	}
	return Site{App: app, Environment: env}, nil
}

// MaxName is the longest name of an app, environment, service, job, store or
// host, in bytes.
const MaxName = 40

// ValidName checks a name: lower-case letters, digits and inner dashes, not
// beginning with a digit. Names become parts of file names and metrics.
func ValidName(name string) error {
	if name == "" {
		return fmt.Errorf("a name is empty")
	}
	if len(name) > MaxName {
		return fmt.Errorf("name %q is longer than %d characters", name, MaxName)
	}
	for i, c := range name {
		letter := c >= 'a' && c <= 'z'
		inner := c >= '0' && c <= '9' || c == '-' && i < len(name)-1
		if !letter && (i == 0 || !inner) {
			return fmt.Errorf("name %q may hold lower-case letters, digits and inner dashes, beginning with a letter", name)
		}
	}
	return nil
}
