package ledger

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// Value is one value of an environment's configuration. A secret one shows
// itself only through Text.
type Value struct {
	Text   string
	Secret bool
}

const hidden = "[secret]"

// String gives the text, unless it is secret.
func (v Value) String() string {
	if v.Secret {
		return hidden
	}
	return v.Text
}

// GoString hides a secret from %#v.
func (v Value) GoString() string { return fmt.Sprintf("%q", v.String()) }

// LogValue hides a secret from logs.
func (v Value) LogValue() slog.Value { return slog.StringValue(v.String()) }

// MarshalJSON writes a secret without its text.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.Secret {
		return []byte(`{"secret":true}`), nil
	}
	return json.Marshal(map[string]string{"text": v.Text})
}

// Config is one version of an environment's configuration. It never changes.
type Config struct {
	Version int              `json:"version"` // 0: nothing was ever set
	Values  map[string]Value `json:"values"`
	Created time.Time        `json:"created"`
	By      string           `json:"by"`
}

// Env returns the values as they are put into the environment of a process.
func (c Config) Env() map[string]string {
	env := make(map[string]string, len(c.Values))
	for name, v := range c.Values {
		env[name] = v.Text
	}
	return env
}

// Change sets or unsets one value.
type Change struct {
	Name   string
	Value  string
	Secret bool
	Unset  bool
}

// String tells of the change without a secret's text.
func (c Change) String() string {
	if c.Unset {
		return "unset " + c.Name
	}
	return c.Name + "=" + Value{Text: c.Value, Secret: c.Secret}.String()
}

// GoString hides a secret from %#v.
func (c Change) GoString() string { return fmt.Sprintf("%q", c.String()) }

// LogValue hides a secret from logs.
func (c Change) LogValue() slog.Value { return slog.StringValue(c.String()) }

// SetConfig makes a new version of a site's configuration from the latest and
// returns its number. Changes that change nothing make no new version. Nothing
// that runs is touched: a deployment takes the new version up.
func (l *Ledger) SetConfig(ctx context.Context, site noon.Site, changes []Change, by string) (int, error) {
	const op = "set configuration of"
	if err := errors.Join(validSite(site), validChanges(changes)); err != nil {
		return 0, explain(op, site.String(), err)
	}
	var version int64
	err := l.write(ctx, "config", func(tx *sql.Tx) error {
		var err error
		if version, err = next(ctx, tx, "config/"+site.String()); err != nil {
			return err
		}
		latest, err := l.values(ctx, tx, site, version-1)
		if err != nil {
			return err
		}
		changes, err := effective(latest, changes)
		if err != nil {
			return err
		}
		if len(changes) == 0 {
			version--
			return errUnchanged
		}
		return l.insertConfig(ctx, tx, site, version, changes, by)
	})
	if err != nil && !errors.Is(err, errUnchanged) {
		return 0, explain(op, site.String(), err)
	}
	return int(version), nil
}

func (l *Ledger) insertConfig(ctx context.Context, tx *sql.Tx, site noon.Site, version int64, changes []Change, by string) error {
	if _, err := tx.ExecContext(ctx, `INSERT INTO config_version (app, environment, version, created, created_by) VALUES ($1, $2, $3, $4, $5)`,
		site.App, site.Environment, version, nanos(l.clock()), clean(by)); err != nil {
		return fmt.Errorf("insert version: %w", err)
	}
	for _, c := range changes {
		kind, value := "plain", c.Value
		switch {
		case c.Unset:
			kind, value = "unset", ""
		case c.Secret:
			kind, value = "secret", l.key.seal(c.Value, place(site, c.Name, version))
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO config_value (app, environment, name, version, kind, value) VALUES ($1, $2, $3, $4, $5, $6)`,
			site.App, site.Environment, c.Name, version, kind, value); err != nil {
			return fmt.Errorf("insert value: %w", err)
		}
	}
	return nil
}

// place binds a sealed value to where it was stored: moved elsewhere in the
// ledger, it does not open. No part can hold a slash.
func place(site noon.Site, name string, version int64) string {
	return fmt.Sprintf("%s/%s/%s/%d", site.App, site.Environment, name, version)
}

// effective returns the changes that make a difference.
func effective(latest map[string]Value, changes []Change) ([]Change, error) {
	var some []Change
	for _, c := range changes {
		old, set := latest[c.Name]
		if c.Unset && !set {
			return nil, &noon.Error{
				Kind: noon.NotFound, Op: "unset", Subject: c.Name, Err: errors.New("it is not set"),
				Hint: "Check the spelling; names are told apart by case.",
			}
		}
		if c.Unset || !set || old != (Value{Text: c.Value, Secret: c.Secret}) {
			some = append(some, c)
		}
	}
	return some, nil
}

func validChanges(changes []Change) error {
	seen := map[string]bool{}
	var problems []error
	for _, c := range changes {
		if err := validChange(c); err != nil {
			problems = append(problems, err)
		}
		if seen[c.Name] {
			problems = append(problems, &noon.Error{Kind: noon.Invalid, Op: "set", Subject: c.Name, Err: errors.New("it is named twice")})
		}
		seen[c.Name] = true
	}
	return errors.Join(problems...)
}

func validChange(c Change) error {
	letter := func(r rune) bool { return r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' }
	for i, r := range c.Name {
		if !letter(r) && (i == 0 || r < '0' || r > '9') {
			return &noon.Error{
				Kind: noon.Invalid, Op: "set", Subject: fmt.Sprintf("%q", c.Name), Err: errors.New("it is not the name of an environment variable"),
				Hint: "Use letters, digits and underscores, not beginning with a digit.",
			}
		}
	}
	if c.Name == "" {
		return &noon.Error{Kind: noon.Invalid, Op: "set", Err: errors.New("a name is empty"), Hint: "Write NAME=value."}
	}
	if !storable(c.Value) { // the value itself is not shown: it may be a secret
		return &noon.Error{
			Kind: noon.Invalid, Op: "set", Subject: c.Name, Err: errors.New("its value is not text: it holds a zero byte or is not UTF-8"),
			Hint: "Encode binary values, with base64 for example.",
		}
	}
	return nil
}

// clean makes text from outside storable.
func clean(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// LatestConfig returns the newest version of a site's configuration, version 0
// without values if nothing was ever set.
func (l *Ledger) LatestConfig(ctx context.Context, site noon.Site) (Config, error) {
	var version int64
	err := l.reader.QueryRowContext(ctx, `SELECT COALESCE(MAX(version), 0) FROM config_version WHERE app = $1 AND environment = $2`,
		site.App, site.Environment).Scan(&version)
	if err != nil {
		return Config{}, explain("read configuration of", site.String(), err)
	}
	return l.Config(ctx, site, int(version))
}

// Config returns one version of a site's configuration. Version 0 has no values.
func (l *Ledger) Config(ctx context.Context, site noon.Site, version int) (Config, error) {
	const op = "read configuration of"
	if version == 0 {
		return Config{Values: map[string]Value{}}, nil
	}
	c := Config{Version: version}
	var created int64
	err := l.reader.QueryRowContext(ctx, `SELECT created, created_by FROM config_version WHERE app = $1 AND environment = $2 AND version = $3`,
		site.App, site.Environment, version).Scan(&created, &c.By)
	if errors.Is(err, sql.ErrNoRows) {
		return Config{}, &noon.Error{
			Kind: noon.NotFound, Op: op, Subject: site.String(), Err: fmt.Errorf("there is no version c%d", version),
			Hint: "Versions are never removed: check the number and the environment.",
		}
	}
	if err != nil {
		return Config{}, explain(op, site.String(), err)
	}
	c.Created = fromNanos(created)
	if c.Values, err = l.values(ctx, l.reader, site, int64(version)); err != nil {
		return Config{}, explain(op, site.String(), err)
	}
	return c, nil
}

// values puts a version together: of each name the newest change up to it.
// Versions never change, so that no transaction around the reads is needed.
func (l *Ledger) values(ctx context.Context, q queryer, site noon.Site, version int64) (map[string]Value, error) {
	type row struct {
		name, kind, value string
		version           int64
	}
	rows, err := collect(ctx, q, func(rows *sql.Rows) (row, error) {
		var r row
		return r, rows.Scan(&r.name, &r.version, &r.kind, &r.value)
	}, `SELECT v.name, v.version, v.kind, v.value FROM config_value v
		WHERE v.app = $1 AND v.environment = $2 AND v.version = (
			SELECT MAX(w.version) FROM config_value w
			WHERE w.app = v.app AND w.environment = v.environment AND w.name = v.name AND w.version <= $3)`,
		site.App, site.Environment, version)
	if err != nil {
		return nil, fmt.Errorf("read values: %w", err)
	}
	values := make(map[string]Value, len(rows))
	for _, r := range rows {
		switch r.kind {
		case "plain":
			values[r.name] = Value{Text: r.value}
		case "secret":
			text, err := l.key.unseal(r.value, place(site, r.name, r.version))
			if err != nil {
				return nil, err
			}
			values[r.name] = Value{Text: text, Secret: true}
		}
	}
	return values, nil
}
