package manifest

import (
	"fmt"
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
			"How it serves two releases at once. This version has \"shared\"; \"versioned\", \"slotted\" and \"copied\" come later.").must(),
		keyed("migrate", taskRule("migration", "10m"), func(s *noon.Store, c noon.Command) { s.Migrate = &c },
			"Command that brings the store to what the release needs, run while the release before serves."),
		key("compatible", boolRule(), func(s *noon.Store) *bool { return &s.Compatible },
			"Declares that the release before works with the migrated store.").or("false"),
		key("quiet", boolRule(), func(s *noon.Store) *bool { return &s.Quiet },
			"Suspends scheduled jobs while migrate runs, and waits for those that run to end.").or("false"),
		key("changes", list("list of paths", fileRule("path", "migrations", true), unique[string]), func(s *noon.Store) *[]string { return &s.Changes },
			"Files whose content decides whether migrate has work. Without it migrate always runs."),
	}, func(d *decoder, v value, s *noon.Store) {
		for name, set := range map[string]bool{"changes": len(s.Changes) > 0, "quiet": s.Quiet} {
			if at := join(v.path, name); set && !d.written(join(v.path, "migrate")) {
				d.wrong(d.marks[at].key, at, fmt.Sprintf("%s has %s but no migrate", v.path, name), "Add the command that migrates, or remove "+name+".")
			}
		}
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
