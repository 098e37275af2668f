package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/noon-deploy/noon"
)

// appChecks look at what several parts of a manifest say together.
func appChecks() []func(*decoder, value, *noon.App) {
	return []func(*decoder, value, *noon.App){
		checkSome, checkNames, checkPaths, checkVariables, checkStores, checkSmoke, checkInstances, checkAfter, checkDomains, checkRedirects,
	}
}

// checkSome: an app without services or environments can not be deployed.
func checkSome(d *decoder, _ value, a *noon.App) {
	if m, ok := d.marks["services"]; ok && m.ok && len(a.Services) == 0 {
		d.wrong(m.at, "services", "services is empty", `Add one: "web: {command: ./web}".`)
	}
	if m, ok := d.marks["environments"]; ok && m.ok && len(a.Environments) == 0 {
		d.wrong(m.at, "environments", "environments is empty", `Add one: "production: {}".`)
	}
}

// checkNames: services and jobs share one space of names, that of logs.
func checkNames(d *decoder, _ value, a *noon.App) {
	for _, j := range a.Jobs {
		if _, ok := a.Service(j.Name); ok {
			p := join("jobs", j.Name)
			d.wrong(d.marks[p].key, p, fmt.Sprintf("a service is named %q too", j.Name), "Give the job a name of its own, so that their logs can be told apart.")
		}
	}
}

// checkPaths: a path belongs to one service.
func checkPaths(d *decoder, _ value, a *noon.App) {
	type place struct{ path, service string }
	owner := map[string]place{}
	services := slices.Clone(a.Services) // in the order of the file, so that the later one is the mistake
	slices.SortFunc(services, func(x, y noon.Service) int {
		return d.marks[join("services", x.Name)].key.line - d.marks[join("services", y.Name)].key.line
	})
	for _, s := range services {
		for i, prefix := range s.Paths {
			p := fmt.Sprintf("%s.paths[%d]", join("services", s.Name), i)
			if prefix == "" {
				continue
			}
			if first, ok := owner[prefix]; ok {
				d.wrong(d.spot(p), p, fmt.Sprintf("path %s belongs to service %q already, in line %d", quote(prefix), first.service, d.spot(first.path).line),
					"A request goes to one service: remove the path from one of the two, or make it longer.")
				continue
			}
			owner[prefix] = place{p, s.Name}
		}
	}
}

// checkVariables: every name has one origin.
func checkVariables(d *decoder, _ value, a *noon.App) {
	for i, name := range a.Secrets {
		p := fmt.Sprintf("secrets[%d]", i)
		if name != "" && slices.Contains(a.Variables, name) {
			d.wrong(d.spot(p), p, fmt.Sprintf("%s is in variables too", name), "Keep it in secrets alone if its value must not be shown.")
		}
	}
	for _, s := range a.Services {
		for name := range s.Env {
			p := join(join(join("services", s.Name), "env"), name)
			if name != "" && (slices.Contains(a.Variables, name) || slices.Contains(a.Secrets, name)) {
				d.wrong(d.marks[p].key, p, fmt.Sprintf("%s has a fixed value here, but is asked for from the environment as well", name),
					"Remove it here, or from variables and secrets.")
			}
		}
	}
	for _, e := range a.Environments {
		for name := range e.Variables {
			p := join(join(join("environments", e.Name), "variables"), name)
			if name != "" && slices.Contains(a.Secrets, name) {
				d.wrong(d.marks[p].key, p, fmt.Sprintf("%s is a secret, and this file is shown", name), "Remove it here, change the secret if it was real, and set it for the environment, outside of this file.")
				d.hide(d.marks[p])
			}
		}
	}
}

// hide keeps the lines of a value out of every excerpt.
func (d *decoder) hide(m mark) {
	text, _ := m.verbatim()
	for line := m.key.line; line <= m.at.line+strings.Count(text, "\n")+1; line++ {
		d.hidden[line] = true
	}
}

// checkSmoke: somebody has to answer the requests.
func checkSmoke(d *decoder, v value, a *noon.App) {
	uniqueNames(d, value{path: "smoke"}, "request", a.Smoke, func(s noon.Smoke) string { return s.Name })
	if len(a.Smoke) > 0 && len(a.Services) > 0 && d.sound("services") && !slices.ContainsFunc(a.Services, noon.Service.Routed) {
		d.wrong(d.marks["smoke"].key, "smoke", "no service answers requests", `Add "paths: [/]" to a service, or remove smoke.`)
	}
}

// checkInstances: numbers are for services that exist.
func checkInstances(d *decoder, _ value, a *noon.App) {
	names := make([]string, 0, len(a.Services))
	for _, s := range a.Services {
		names = append(names, s.Name)
	}
	for _, e := range a.Environments {
		for name := range e.Instances {
			p := join(join(join("environments", e.Name), "instances"), name)
			if name != "" && !slices.Contains(names, name) {
				d.wrong(d.marks[p].key, p, fmt.Sprintf("there is no service %s", quote(name)), oneOf(name, names))
			}
		}
	}
}

// checkAfter: the environments form lines, not rings.
func checkAfter(d *decoder, _ value, a *noon.App) {
	names := make([]string, 0, len(a.Environments))
	after := map[string]string{}
	for _, e := range a.Environments {
		names = append(names, e.Name)
		after[e.Name] = e.After
	}
	told := map[string]bool{}
	for _, e := range a.Environments {
		p := join(join("environments", e.Name), "after")
		if e.After != "" && !slices.Contains(names, e.After) {
			d.wrong(d.spot(p), p, fmt.Sprintf("there is no environment %s", quote(e.After)), oneOf(e.After, names))
			continue
		}
		ring := []string{e.Name}
		for n := e.After; n != "" && n != e.Name && len(ring) <= len(names); n = after[n] {
			ring = append(ring, n)
		}
		closed := e.After != "" && after[ring[len(ring)-1]] == e.Name && len(ring) <= len(names)
		if !closed || told[e.Name] {
			continue
		}
		for _, n := range ring {
			told[n] = true
		}
		d.wrong(d.spot(p), p, fmt.Sprintf("%s waits for itself%s", e.Name, through(ring[1:])), "Remove one \"after\": some environment has to be the first.")
	}
}

func through(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return " through " + strings.Join(names, ", ")
}

// checkDomains: a request belongs to one environment of a host.
func checkDomains(d *decoder, _ value, a *noon.App) {
	owner := map[string]string{}
	for _, e := range a.Environments {
		for i, domain := range e.Domains {
			p := fmt.Sprintf("%s.domains[%d]", join("environments", e.Name), i)
			if first, ok := owner[domain]; ok && domain != "" && first != e.Name {
				d.wrong(d.spot(p), p, fmt.Sprintf("domain %s belongs to environment %q already", quote(domain), first), "A request goes to one environment: keep the domain in one of the two.")
			}
			if _, ok := owner[domain]; !ok {
				owner[domain] = e.Name
			}
		}
	}
}

// checkRedirects: a redirect of a host name is for one that is answered.
func checkRedirects(d *decoder, _ value, a *noon.App) {
	for _, e := range a.Environments {
		for i, r := range e.Traffic.Redirects {
			p := fmt.Sprintf("%s.traffic.redirects[%d].host", join("environments", e.Name), i)
			covered := slices.ContainsFunc(e.Domains, func(domain string) bool {
				suffix, wild := strings.CutPrefix(domain, "*")
				return domain == r.Host || wild && strings.HasSuffix(r.Host, suffix)
			})
			if r.Host != "" && d.written(p) && len(e.Domains) > 0 && !covered {
				d.wrong(d.spot(p), p, fmt.Sprintf("%s is not among the domains of %s", quote(r.Host), e.Name), oneOf(r.Host, e.Domains))
			}
		}
	}
}
