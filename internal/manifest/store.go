package manifest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

func storeRule() rule[noon.Store] {
	kind := nameRule()
	kind.example = "sqlite"
	return object("store", []field[noon.Store]{
		key("kind", kind, func(s *noon.Store) *string { return &s.Kind },
			"What it is: sqlite, postgres, redis, files …").must(),
		key("coexistence", coexistenceRule(), func(s *noon.Store) *noon.Coexistence { return &s.Coexistence },
			"How it serves two releases at once. \"versioned\" is for PostgreSQL, MariaDB and MySQL and needs migrations; \"slotted\" and \"copied\" come later.").must(),
		key("url", variableRule(), func(s *noon.Store) *string { return &s.URL },
			"Name of the variable or secret that holds the address of the server: postgres://…, mysql://…, sqlite:FILE. noon connects to it itself."),
		key("role", roleRule(), func(s *noon.Store) *string { return &s.Role },
			"Database role (on MariaDB and MySQL: user) that the app had before noon, and that owns the tables, where the one in url is noon's own. Only of a versioned store."),
		keyed("migrate", taskRule("migration", "10m"), func(s *noon.Store, c noon.Command) { s.Migrate = &c },
			"Command that brings the store to what the release needs, run while the release before serves."),
		key("migrations", fileRule("path", "migrations", false), func(s *noon.Store) *string { return &s.Migrations },
			"Directory with files that noon applies itself: SQL of a shared store, declared operations of a versioned one. Instead of migrate."),
		key("lint", lintRule(), func(s *noon.Store) *noon.Lint { return &s.Lint },
			"What is made of the hazards of the migrations, such as a lock that keeps users waiting."),
		key("compatible", boolRule(), func(s *noon.Store) *bool { return &s.Compatible },
			"Declares that the release before works with the migrated store.").or("false"),
		key("quiet", boolRule(), func(s *noon.Store) *bool { return &s.Quiet },
			"Suspends scheduled jobs while the store is migrated, and waits for those that run to end.").or("false"),
		key("changes", list("list of paths", fileRule("path", "migrations", true), unique[string]), func(s *noon.Store) *[]string { return &s.Changes },
			"Files whose content decides whether migrate has work. Without it migrate always runs."),
		key("rehearsal", rehearsalRule(), func(s *noon.Store) *noon.Rehearsing { return &s.Rehearsal },
			"How changes of the store are rehearsed on a copy of it, and whether they must be. Only of a store with migrations."),
	}, checkStore, checkLint)
}

// checkStore: the keys of a store fit each other.
func checkStore(d *decoder, v value, s *noon.Store) {
	wrong := func(name, message, hint string) {
		at := join(v.path, name)
		d.wrong(d.marks[at].key, at, message, hint)
	}
	if len(s.Changes) > 0 && !d.written(join(v.path, "migrate")) {
		wrong("changes", v.path+" has changes but no migrate", "Add the command that migrates, or remove changes.")
	}
	if s.Quiet && !d.written(join(v.path, "migrate")) && s.Migrations == "" {
		wrong("quiet", v.path+" has quiet but no migrate", "Add what migrates the store, or remove quiet.")
	}
	if s.Role != "" && s.Coexistence != noon.Versioned && s.Coexistence != "" {
		wrong("role", v.path+" is not versioned and has a role", "Remove it: only a versioned store gives each release a role of its own.")
	}
	if s.Migrations == "" && d.written(join(v.path, "rehearsal")) {
		wrong("rehearsal", v.path+" has a rehearsal and no migrations", "Remove it: only migrations that noon applies itself can be rehearsed.")
	}
	if s.Migrations != "" {
		checkMigrations(d, v, s, wrong)
	} else if s.Coexistence == noon.Versioned {
		wrong("coexistence", v.path+" is versioned and has no migrations", "Add \"migrations:\" with the directory of the declared operations; noon applies them and keeps a view for each release.")
	}
}

func checkMigrations(d *decoder, v value, s *noon.Store, wrong func(name, message, hint string)) {
	if d.written(join(v.path, "migrate")) {
		wrong("migrations", v.path+" has migrate too", "A store is migrated by the app's command or by noon, not by both: remove one of them.")
	}
	if s.URL == "" && !d.written(join(v.path, "url")) {
		wrong("migrations", v.path+" has migrations but no url", "Add \"url:\" with the name of the variable or secret that holds the address of the database.")
	}
	if kinds := migrated(s.Coexistence); s.Kind != "" && !slices.Contains(kinds, s.Kind) {
		wrong("migrations", fmt.Sprintf("noon can not apply migrations to a %s store of kind %s", s.Coexistence, quote(s.Kind)),
			"It can for "+strings.Join(kinds, ", ")+". For others let the app migrate: \"migrate: {command: …}\".")
	}
}

// migrated are the kinds of stores whose migrations noon applies.
func migrated(c noon.Coexistence) []string {
	if c == noon.Versioned {
		return []string{"mariadb", "mysql", "postgres"}
	}
	return []string{"mariadb", "mysql", "postgres", "sqlite"}
}

// checkStores: an address is something that the environment gives.
func checkStores(d *decoder, _ value, a *noon.App) {
	for _, s := range a.Stores {
		given(d, a, join(join("stores", s.Name), "url"), s.URL)
		given(d, a, join(join(join("stores", s.Name), "rehearsal"), "at"), s.Rehearsal.At)
	}
}

// given refuses a name that is none of a variable or secret.
func given(d *decoder, a *noon.App, p, name string) {
	if name != "" && !slices.Contains(a.Variables, name) && !slices.Contains(a.Secrets, name) {
		d.wrong(d.spot(p), p, fmt.Sprintf("%s is neither in variables nor in secrets", name),
			fmt.Sprintf("Add \"secrets: [%s]\"; its value is set for the environment, by `noon env set --secret %s`.", name, name))
	}
}

// roleRule is the name of a role in a database.
func roleRule() rule[string] {
	return word(shape{label: "role", example: "shop"}, "", func(text string) (string, error) {
		if strings.TrimSpace(text) == "" || len(text) > 63 || strings.ContainsRune(text, 0) {
			return "", &trouble{fmt.Sprintf("%s is not the name of a role", quote(text)), "It has 1 to 63 bytes."}
		}
		return text, nil
	})
}

func taskRule(label, timeout string) rule[noon.Command] {
	return object(label, taskFields(timeout, func(c *noon.Command) *noon.Command { return c }))
}

// taskFields are the keys of everything that is run once.
func taskFields[T any](timeout string, in func(*T) *noon.Command) []field[T] {
	return []field[T]{
		key("command", commandRule(), func(t *T) *[]string { return &in(t).Command },
			"What to run.").must(),
		key("timeout", durationRule(time.Millisecond), func(t *T) *time.Duration { return &in(t).Timeout },
			"How long it may take.").or(timeout),
		key("idempotent", boolRule(), func(t *T) *bool { return &in(t).Idempotent },
			"It may be run again when a crash left unknown whether it was done. Otherwise the deployment stops there and asks.").or("false"),
	}
}

func hookRule() rule[noon.Hook] {
	name := key("name", nameRule(), func(h *noon.Hook) *string { return &h.Name },
		"How the hook is called in messages; unique within its moment.").must()
	return object("hook", append([]field[noon.Hook]{name},
		taskFields("5m", func(h *noon.Hook) *noon.Command { return &h.Command })...))
}

// hooksRule has one key per moment; the table's order is that of the moments.
func hooksRule() rule[[]noon.Hook] {
	hooks := list("list of hooks", hookRule(), uniqueHooks)
	fields := make([]field[[]noon.Hook], 0, len(noon.HookMoments()))
	for _, moment := range noon.HookMoments() {
		fields = append(fields, keyed(string(moment), hooks, func(into *[]noon.Hook, all []noon.Hook) {
			for _, h := range all {
				h.Moment = moment
				*into = append(*into, h)
			}
		}, momentDoc(moment)))
	}
	return object("hooks", fields)
}

func momentDoc(m noon.HookMoment) string {
	switch m {
	case noon.BeforeBuild:
		return "In the checkout, before the build command."
	case noon.AfterBuild:
		return "In the checkout, after the build command, before files are taken."
	case noon.BeforeDeploy:
		return "In the new release, before anything else of the deployment."
	case noon.BeforeSwitch:
		return "In the new release, when it is ready and smoke-tested, before users are sent to it."
	case noon.AfterSwitch:
		return "In the new release, as soon as users are sent to it."
	case noon.AfterDeploy:
		return "In the new release, at the end of a good deployment."
	case noon.BeforeRollback:
		return "In the release gone back to, before users are sent to it again."
	case noon.AfterRollback:
		return "In the release gone back to, when users are on it."
	case noon.OnFailure:
		return "In the release that serves, when a deployment has failed and been walked back."
	}
	return ""
}

func uniqueHooks(d *decoder, v value, all []noon.Hook) {
	uniqueNames(d, v, "hook", all, func(h noon.Hook) string { return h.Name })
}

// uniqueNames refuses the second of two items with one name.
func uniqueNames[T any](d *decoder, v value, what string, all []T, name func(T) string) {
	seen := map[string]bool{}
	for i, item := range all {
		p := fmt.Sprintf("%s[%d].name", v.path, i)
		n := name(item)
		if n != "" && seen[n] && d.sound(p) {
			d.wrong(d.spot(p), p, fmt.Sprintf("there are two %ss named %q in %s", what, n, v.path), "Give each a name of its own.")
		}
		seen[n] = true
	}
}
