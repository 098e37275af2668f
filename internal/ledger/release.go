package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/noon-deploy/noon"
)

// PastRelease is a release with whether its content is still kept.
type PastRelease struct {
	noon.Release
	Pruned time.Time `json:"pruned"` // zero: it is kept
}

// AddRelease stores a release and its manifest and assigns the next number of
// its app. The same content again is the same release: the one stored first is
// returned, no longer marked as pruned.
func (l *Ledger) AddRelease(ctx context.Context, r noon.Release, manifest []byte) (noon.Release, error) {
	if err := validRelease(r, manifest); err != nil {
		return noon.Release{}, explain("add release", r.App, err)
	}
	var stored noon.Release
	err := l.write(ctx, "release", func(tx *sql.Tx) error {
		n, err := next(ctx, tx, "release/"+r.App)
		if err != nil {
			return err
		}
		stored, err = takeBack(ctx, tx, r, n)
		if !errors.Is(err, sql.ErrNoRows) {
			return err
		}
		stored = r
		stored.Number, stored.Added = int(n), stored.Added.UTC()
		value, err := json.Marshal(stored)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO release (app, number, digest, value, manifest) VALUES ($1, $2, $3, $4, $5)`,
			r.App, n, r.Digest, string(value), string(manifest))
		return err
	})
	return stored, explain("add release", r.App, err)
}

// takeBack returns the release that already has the content, and gives the
// number that was taken for it back.
func takeBack(ctx context.Context, tx *sql.Tx, r noon.Release, taken int64) (noon.Release, error) {
	var value string
	err := tx.QueryRowContext(ctx, `UPDATE release SET pruned = 0 WHERE app = $1 AND digest = $2 RETURNING value`, r.App, r.Digest).Scan(&value)
	if err != nil {
		return noon.Release{}, err
	}
	if _, err := tx.ExecContext(ctx, `UPDATE counter SET value = $1 WHERE name = $2`, taken-1, "release/"+r.App); err != nil {
		return noon.Release{}, err
	}
	var stored noon.Release
	return stored, json.Unmarshal([]byte(value), &stored)
}

func validRelease(r noon.Release, manifest []byte) error {
	if err := noon.ValidName(r.App); err != nil {
		return &noon.Error{Kind: noon.Invalid, Op: "name an app", Err: err}
	}
	hex, ok := strings.CutPrefix(r.Digest, "sha256:")
	if !ok || len(hex) != 64 || strings.Trim(hex, "0123456789abcdef") != "" {
		return &noon.Error{Kind: noon.Invalid, Err: fmt.Errorf("%q is not a digest such as sha256:…", r.Digest)}
	}
	if !storable(string(manifest)) {
		return &noon.Error{Kind: noon.Invalid, Err: errors.New("its manifest is not UTF-8 text"), Hint: "Save noon.yaml as UTF-8."}
	}
	return nil
}

// storable reports whether both engines can hold s as TEXT.
func storable(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// Releases returns the releases of an app whose content is kept, newest first.
func (l *Ledger) Releases(ctx context.Context, app string) ([]noon.Release, error) {
	all, err := l.AllReleases(ctx, app)
	var kept []noon.Release
	for _, r := range all {
		if r.Pruned.IsZero() {
			kept = append(kept, r.Release)
		}
	}
	return kept, err
}

// AllReleases returns every release an app ever had, newest first.
func (l *Ledger) AllReleases(ctx context.Context, app string) ([]PastRelease, error) {
	all, err := collect(ctx, l.reader, scanPast, `SELECT value, pruned FROM release WHERE app = $1 ORDER BY number DESC`, app)
	return all, explain("list releases of", app, err)
}

// Apps returns the names of the apps that ever had a release, sorted.
func (l *Ledger) Apps(ctx context.Context) ([]string, error) {
	apps, err := collect(ctx, l.reader, scanString, `SELECT DISTINCT app FROM release ORDER BY app`)
	return apps, explain("list apps", "", err)
}

func scanPast(rows *sql.Rows) (PastRelease, error) {
	var value string
	var pruned int64
	if err := rows.Scan(&value, &pruned); err != nil {
		return PastRelease{}, err
	}
	p := PastRelease{Pruned: fromNanos(pruned)}
	return p, json.Unmarshal([]byte(value), &p.Release)
}

// Release returns a release and its manifest. A pruned one is not found.
func (l *Ledger) Release(ctx context.Context, app string, number int) (noon.Release, []byte, error) {
	return l.oneRelease(ctx, app, noon.ReleaseName(number), `number = $2`, number)
}

// ReleaseByDigest is Release by content.
func (l *Ledger) ReleaseByDigest(ctx context.Context, app, digest string) (noon.Release, []byte, error) {
	return l.oneRelease(ctx, app, digest, `digest = $2`, digest)
}

func (l *Ledger) oneRelease(ctx context.Context, app, name, where string, arg any) (noon.Release, []byte, error) {
	const op = "find release"
	subject := name + " of " + app
	var value, manifest string
	var pruned int64
	err := l.reader.QueryRowContext(ctx, `SELECT value, manifest, pruned FROM release WHERE app = $1 AND `+where, app, arg).Scan(&value, &manifest, &pruned)
	if errors.Is(err, sql.ErrNoRows) {
		return noon.Release{}, nil, noRelease(op, subject)
	}
	if err != nil {
		return noon.Release{}, nil, explain(op, subject, err)
	}
	var r noon.Release
	if err := json.Unmarshal([]byte(value), &r); err != nil {
		return noon.Release{}, nil, explain(op, subject, err)
	}
	if pruned != 0 {
		return noon.Release{}, nil, &noon.Error{
			Kind: noon.NotFound, Op: op, Subject: subject,
			Err:  fmt.Errorf("its content was pruned on %s", fromNanos(pruned).Format(time.DateOnly)),
			Hint: fmt.Sprintf("Choose a release that is kept (noon releases lists them), or build commit %.12s again.", r.Commit),
		}
	}
	return r, []byte(manifest), nil
}

func noRelease(op, subject string) *noon.Error {
	return &noon.Error{
		Kind: noon.NotFound, Op: op, Subject: subject, Err: errors.New("there is no such release"),
		Hint: "noon releases lists the releases there are; noon build makes a new one.",
	}
}

// MarkPruned notes that the content of releases is no longer kept. All of them
// are marked or none.
func (l *Ledger) MarkPruned(ctx context.Context, app string, numbers []int) error {
	const op = "mark pruned"
	err := l.write(ctx, "prune", func(tx *sql.Tx) error {
		for _, n := range numbers {
			var found int64
			err := tx.QueryRowContext(ctx, `UPDATE release SET pruned = CASE WHEN pruned = 0 THEN $1 ELSE pruned END
				WHERE app = $2 AND number = $3 RETURNING number`, nanos(l.clock()), app, n).Scan(&found)
			if errors.Is(err, sql.ErrNoRows) {
				return noRelease("find release", noon.ReleaseName(n))
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return explain(op, app, err)
}
