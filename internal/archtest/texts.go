package archtest

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// MachineTraces finds paths of somebody's machine and hosts of package
// registries: both are true in one place only.
func MachineTraces(texts map[string]string) []Finding {
	traces := []struct {
		re   *regexp.Regexp
		what string
	}{
		{regexp.MustCompile(`(^|[^\w./~-])/(home|Users|root)/[\w.]`), "a path in somebody's home directory"},
		{regexp.MustCompile("(^|[\\s\"'`=(:])/" + "work/[\\w.]"), "a path of one machine"},
		{regexp.MustCompile(`(?i)(proxy\.golang\.org|goproxy\.(io|cn)|registry\.npmjs\.org|registry\.yarnpkg\.com|pypi\.org/simple|artifact[o]ry|GOPROXY=https?:)`), "the host of a package registry"},
		{regexp.MustCompile(`https?://(10\.\d+|192\.168|172\.(1[6-9]|2\d|3[01]))\.\d+\.\d+`), "an address of a private network"},
	}
	var found []Finding
	for _, p := range slices.Sorted(maps.Keys(texts)) {
		line := 0
		for text := range strings.Lines(texts[p]) {
			line++
			for _, tr := range traces {
				if m := tr.re.FindString(text); m != "" {
					found = append(found, Finding{p, line, fmt.Sprintf("%s: %q", tr.what, strings.TrimSpace(m))})
				}
			}
		}
	}
	return found
}

// BrokenLinks finds links of Markdown files to files and headings that do not
// exist.
func BrokenLinks(texts map[string]string) []Finding {
	exists := map[string]bool{".": true}
	for p := range texts {
		for ; p != "."; p = path.Dir(p) {
			exists[p] = true
		}
	}
	var found []Finding
	for _, p := range slices.Sorted(maps.Keys(texts)) {
		if path.Ext(p) != ".md" {
			continue
		}
		for _, l := range links(texts[p]) {
			target, anchor, _ := strings.Cut(l.target, "#")
			file := p
			switch {
			case strings.HasPrefix(target, "/"):
				file = path.Clean(target[1:])
			case target != "":
				file = path.Join(path.Dir(p), target)
			}
			switch {
			case !exists[file]:
				found = append(found, Finding{p, l.line, "links to " + l.target + ", which does not exist"})
			case anchor != "" && path.Ext(file) == ".md" && !slices.Contains(anchors(texts[file]), anchor):
				found = append(found, Finding{p, l.line, "links to " + l.target + ", but there is no such heading"})
			}
		}
	}
	return found
}

type link struct {
	line   int
	target string
}

// prose calls visit for every line outside of code blocks, without code spans.
func prose(markdown string, visit func(line int, text string)) {
	span := regexp.MustCompile("`[^`]*`")
	fence, n := "", 0
	for text := range strings.Lines(markdown) {
		n++
		text = strings.TrimRight(text, "\r\n")
		trimmed := strings.TrimSpace(text)
		switch {
		case fence != "":
			if strings.HasPrefix(trimmed, fence) {
				fence = ""
			}
		case strings.HasPrefix(trimmed, "```"), strings.HasPrefix(trimmed, "~~~"):
			fence = trimmed[:3]
		default:
			visit(n, span.ReplaceAllString(text, ""))
		}
	}
}

// links lists the links inside the repository.
func links(markdown string) []link {
	forms := []*regexp.Regexp{
		regexp.MustCompile(`\]\(<?([^)\s>]+)>?(?:\s+"[^"]*")?\)`),
		regexp.MustCompile(`^\s*\[[^\]]+\]:\s+<?([^\s>]+)`),
		regexp.MustCompile(`(?:src|srcset|href)="([^"\s]+)"`),
	}
	outside := regexp.MustCompile(`^([a-z][a-z0-9+.-]*:|//)`)
	var all []link
	prose(markdown, func(line int, text string) {
		for _, form := range forms {
			for _, m := range form.FindAllStringSubmatch(text, -1) {
				if !outside.MatchString(m[1]) {
					all = append(all, link{line, m[1]})
				}
			}
		}
	})
	return all
}

// anchors lists the fragments by which the headings of a file can be reached,
// as the usual renderers make them, and explicit ones.
func anchors(markdown string) []string {
	heading := regexp.MustCompile(`^ {0,3}#{1,6}\s+(.+?)\s*#*$`)
	explicit := regexp.MustCompile(`<a (?:id|name)="([^"]+)"`)
	linked := regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
	dropped := regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)
	seen := map[string]int{}
	var all []string
	n := 0
	lines := strings.Split(markdown, "\n")
	prose(markdown, func(line int, text string) {
		for _, m := range explicit.FindAllStringSubmatch(text, -1) {
			all = append(all, m[1])
		}
		// The line with its code spans: they are a part of the heading's text.
		m := heading.FindStringSubmatch(strings.TrimRight(lines[line-1], "\r"))
		if m == nil {
			return
		}
		slug := strings.ToLower(linked.ReplaceAllString(m[1], "$1"))
		slug = strings.ReplaceAll(dropped.ReplaceAllString(slug, ""), " ", "-")
		if n = seen[slug]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", slug, n))
		} else {
			all = append(all, slug)
		}
		seen[slug]++
	})
	return all
}
