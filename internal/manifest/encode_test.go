package manifest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/noon-deploy/noon"
)

// pair and tree are a manifest as it is written: keys have an order.
type pair struct {
	key   string
	value any // tree, []any, or a scalar as YAML
}
type tree []pair

// encode writes an app as noon.yaml, with the keys of every map whose order
// has no meaning in the order that shuffle gives them.
func encode(app noon.App, shuffle func(tree) tree) string {
	var b strings.Builder
	write(&b, 0, appTree(app, shuffle))
	return b.String()
}

func write(b *strings.Builder, depth int, t tree) {
	for _, p := range t {
		fmt.Fprintf(b, "%s%s:", strings.Repeat("  ", depth), text(p.key))
		switch v := p.value.(type) {
		case tree:
			if len(v) == 0 {
				b.WriteString(" {}\n")
				continue
			}
			b.WriteString("\n")
			write(b, depth+1, v)
		case []any:
			b.WriteString(" " + flow(v) + "\n")
		default:
			fmt.Fprintf(b, " %s\n", v)
		}
	}
}

func flow(v any) string {
	switch v := v.(type) {
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = flow(item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case tree:
		items := make([]string, len(v))
		for i, p := range v {
			items[i] = text(p.key) + ": " + flow(p.value)
		}
		return "{" + strings.Join(items, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// text writes a text in double quotes with the escapes that YAML knows.
func text(s string) string { return strconv.QuoteToASCII(s) }

func texts[T ~string](all []T) []any {
	out := make([]any, len(all))
	for i, s := range all {
		out[i] = text(string(s))
	}
	return out
}

func dict[V any](m map[string]V, value func(V) any) tree {
	var t tree
	for k, v := range m {
		t = append(t, pair{k, value(v)})
	}
	slices.SortFunc(t, func(a, b pair) int { return strings.Compare(a.key, b.key) })
	return t
}

func quoted(s string) any { return text(s) }

// without leaves out what is empty.
func without(t tree) tree {
	return slices.DeleteFunc(t, func(p pair) bool {
		switch v := p.value.(type) {
		case []any:
			return len(v) == 0
		case tree:
			return len(v) == 0
		}
		return p.value == `""` || p.value == "0" || p.value == "false"
	})
}

func appTree(a noon.App, shuffle func(tree) tree) tree {
	var services, jobs, stores, hooks, environments tree
	for _, s := range a.Services {
		services = append(services, pair{s.Name, shuffle(serviceTree(s, shuffle))})
	}
	for _, j := range a.Jobs {
		jobs = append(jobs, pair{j.Name, shuffle(tree{
			{"command", texts(j.Command)}, {"schedule", text(j.Schedule)}, {"zone", text(j.Zone)}, {"timeout", text(j.Timeout.String())},
		})})
	}
	for _, s := range a.Stores {
		t := without(tree{{"changes", texts(s.Changes)}, {"compatible", strconv.FormatBool(s.Compatible)}})
		if s.URL != "" {
			t = append(t, pair{"url", text(s.URL)})
		}
		if s.Role != "" {
			t = append(t, pair{"role", text(s.Role)})
		}
		if s.Migrations != "" {
			t = append(t, pair{"migrations", text(s.Migrations)})
			if s.Lint.Refuse != "" {
				t = append(t, pair{"lint", shuffle(without(tree{{"refuse", text(string(s.Lint.Refuse))}, {"uses", texts(s.Lint.Uses)}}))})
			}
		}
		t = append(t, pair{"kind", text(s.Kind)}, pair{"coexistence", text(string(s.Coexistence))})
		if s.Migrate != nil {
			t = append(t, pair{"migrate", shuffle(commandTree(*s.Migrate))})
		}
		stores = append(stores, pair{s.Name, shuffle(t)})
	}
	for _, m := range noon.HookMoments() {
		var all []any
		for _, h := range a.HooksAt(m) {
			all = append(all, shuffle(append(commandTree(h.Command), pair{"name", text(h.Name)})))
		}
		hooks = append(hooks, pair{string(m), all})
	}
	for _, e := range a.Environments {
		environments = append(environments, pair{e.Name, shuffle(environmentTree(e, shuffle))})
	}
	t := without(tree{
		{"variables", texts(a.Variables)},
		{"secrets", texts(a.Secrets)},
		{"jobs", shuffle(jobs)},
		{"stores", shuffle(stores)},
		{"hooks", shuffle(without(hooks))},
		{"smoke", smokeList(a.Smoke, shuffle)},
	})
	t = append(t, tree{
		{"app", text(a.Name)},
		{"services", shuffle(services)},
		{"environments", environments},
		{"bake", text(a.Bake.String())},
		{"keep", strconv.Itoa(a.Keep)},
		{"build", shuffle(append(without(tree{{"command", texts(a.Build.Command)}, {"files", texts(a.Build.Files)}}), pair{"timeout", text(a.Build.Timeout.String())}))},
	}...)
	return shuffle(t)
}

func commandTree(c noon.Command) tree {
	return tree{{"command", texts(c.Command)}, {"timeout", text(c.Timeout.String())}, {"idempotent", strconv.FormatBool(c.Idempotent)}}
}

func serviceTree(s noon.Service, shuffle func(tree) tree) tree {
	memory := ""
	if s.Limits.Memory > 0 {
		memory = fmt.Sprintf("%dB", s.Limits.Memory)
	}
	limits := without(tree{
		{"memory", text(memory)},
		{"cpus", strconv.FormatFloat(s.Limits.CPUs, 'g', -1, 64)},
		{"processes", strconv.Itoa(s.Limits.Processes)},
		{"files", strconv.Itoa(s.Limits.Files)},
	})
	ready := without(tree{{"http", text(s.Ready.HTTP)}, {"tcp", strconv.FormatBool(s.Ready.TCP)}, {"command", texts(s.Ready.Command)}})
	ready = append(ready, pair{"interval", text(s.Ready.Interval.String())}, pair{"timeout", text(s.Ready.Timeout.String())})
	t := without(tree{{"dir", text(s.Dir)}, {"paths", pathList(s)}, {"protocol", text(string(s.Protocol))}, {"user", text(s.User)}, {"env", shuffle(dict(s.Env, quoted))}, {"limits", shuffle(limits)}})
	return append(t, tree{
		{"command", texts(s.Command)},
		{"instances", strconv.Itoa(s.Instances)},
		{"drain", text(s.Drain.String())},
		{"ready", shuffle(ready)},
		{"stop", shuffle(tree{{"signal", text(s.Stop.Signal)}, {"grace", text(s.Stop.Grace.String())}})},
	}...)
}

func smokeList(all []noon.Smoke, shuffle func(tree) tree) []any {
	var out []any
	for _, s := range all {
		expect := without(tree{
			{"headers", shuffle(dict(s.Expect.Headers, quoted))},
			{"body", texts(s.Expect.Body)},
			{"not-body", texts(s.Expect.NotBody)},
			{"json", shuffle(dict(s.Expect.JSON, jsonTree))},
		})
		t := without(tree{{"headers", shuffle(dict(s.Headers, quoted))}, {"body", text(s.Body)}})
		out = append(out, shuffle(append(t, tree{
			{"name", text(s.Name)},
			{"method", text(s.Method)},
			{"path", text(s.Path)},
			{"timeout", text(s.Timeout.String())},
			{"expect", shuffle(append(expect, pair{"status", strconv.Itoa(s.Expect.Status)}))},
		}...)))
	}
	return out
}

func jsonTree(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return tree{}
		}
		return dict(v, jsonTree)
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = jsonTree(item)
		}
		return out
	case string:
		return text(v)
	}
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func environmentTree(e noon.Environment, shuffle func(tree) tree) tree {
	t := without(tree{
		{"after", text(e.After)},
		{"domains", texts(e.Domains)},
		{"variables", shuffle(dict(e.Variables, quoted))},
		{"instances", shuffle(dict(e.Instances, func(n int) any { return strconv.Itoa(n) }))},
		{"approval", strconv.FormatBool(e.Approval)},
		{"traffic", shuffle(trafficTree(e, shuffle))},
		{"segments", segmentTree(e.Segments, shuffle)},
	})
	if w := e.Window; w != nil {
		days := make([]string, len(w.Days))
		for i, d := range w.Days {
			days[i] = strings.ToLower(d.String()[:3])
		}
		window := without(tree{{"days", texts(days)}})
		t = append(t, pair{"window", shuffle(append(window, pair{"from", text(clock(w.From))}, pair{"to", text(clock(w.To))}, pair{"zone", text(w.Zone)}))})
	}
	if e.TLS != nil {
		t = append(t, pair{"tls", shuffle(tlsTree(*e.TLS, shuffle))})
	}
	return append(t, pair{"hosts", texts(e.Hosts)}, pair{"warm", text(e.Warm.String())})
}

func tlsTree(t noon.TLS, shuffle func(tree) tree) tree {
	out := without(tree{
		{"canonical", text(t.Canonical)}, {"client-ca", text(t.ClientCA)}, {"internal", strconv.FormatBool(t.Internal)},
	})
	out = append(out, pair{"redirect", strconv.FormatBool(t.Redirect)}, pair{"min-version", text(t.MinVersion)})
	var certificates []any
	for _, c := range t.Certificates {
		certificates = append(certificates, shuffle(tree{{"cert", text(c.Cert)}, {"key", text(c.Key)}}))
	}
	if certificates != nil {
		out = append(out, pair{"certificates", certificates})
	}
	if a := t.ACME; a != nil {
		acme := append(without(tree{{"email", text(a.Email)}}), pair{"directory", text(a.Directory)}, pair{"terms-accepted", strconv.FormatBool(a.TermsAccepted)})
		if o := a.OnDemand; o != nil {
			acme = append(acme, pair{"on-demand", shuffle(without(tree{{"ask", text(o.Ask)}, {"allow", texts(o.Allow)}}))})
		}
		out = append(out, pair{"acme", shuffle(acme)})
	}
	if h := t.HSTS; h != nil {
		out = append(out, pair{"hsts", shuffle(tree{
			{"max-age", text(h.MaxAge.String())}, {"subdomains", strconv.FormatBool(h.Subdomains)}, {"preload", strconv.FormatBool(h.Preload)},
		})})
	}
	return out
}

func clock(minutes int) string {
	return fmt.Sprintf("%02d:%02d", minutes/60, minutes%60)
}

// asWritten changes nothing.
func asWritten(t tree) tree { return t }
