package manifest

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/noon-deploy/noon"
)

// word is a rule for a text that parse understands; its error says what is
// wrong with the text, hint (or the error's own) what to write instead.
func word[T any](s shape, hint string, parse func(string) (T, error)) rule[T] {
	if s.json == nil {
		s.json = map[string]any{"type": "string"}
	}
	return rule[T]{s, func(d *decoder, v value) (T, bool) {
		var none T
		text, ok := v.text()
		if !ok {
			d.mistyped(v, s.label, s.example)
			return none, false
		}
		got, err := parse(text)
		if err != nil {
			d.wrong(v.at, v.path, subject(v.path)+": "+err.Error(), hintOf(err, hint))
			return none, false
		}
		return got, true
	}}
}

// wordOf is a word that is checked and kept as it is.
func wordOf(label, example, pattern, hint string, check func(string) error) rule[string] {
	s := shape{label: label, example: example, json: map[string]any{"type": "string"}}
	if pattern != "" {
		s.json["pattern"] = pattern
	}
	return word(s, hint, func(text string) (string, error) { return text, check(text) })
}

// choice is one of some words.
func choice[T ~string](label string, words ...T) rule[T] {
	known := make([]string, len(words))
	enum := make([]any, len(words))
	for i, w := range words {
		known[i], enum[i] = string(w), string(w)
	}
	return word(shape{label: label, example: known[0], json: map[string]any{"enum": enum}}, "", func(text string) (T, error) {
		for _, w := range words {
			if string(w) == text {
				return w, nil
			}
		}
		return "", &trouble{fmt.Sprintf("%s is not a known %s", quote(text), label), oneOf(text, known)}
	})
}

func nameRule() rule[string] {
	r := wordOf("name", "web", `^[a-z]([a-z0-9-]{0,38}[a-z0-9])?$`,
		"Choose another one, such as \"web\" or \"mail-worker\".", noon.ValidName)
	r.about = fmt.Sprintf("Lower-case letters, digits and inner dashes, beginning with a letter, at most %d characters.", noon.MaxName)
	return r
}

// textRule is any text that is not empty.
func textRule(label, example string) rule[string] {
	r := wordOf(label, example, "", "Write it like this: "+example, func(text string) error {
		if strings.TrimSpace(text) == "" {
			return fmt.Errorf("the %s is empty", label)
		}
		return nil
	})
	r.json["minLength"] = 1
	return r
}

// valueRule is any scalar, taken as it is written.
func valueRule() rule[string] {
	s := shape{label: "value", example: `"8080"`, about: "A text, number or truth value, taken exactly as it is written: 1.10 stays 1.10.", json: map[string]any{"type": []any{"string", "number", "boolean"}}}
	return rule[string]{s, func(d *decoder, v value) (string, bool) {
		text, ok := v.verbatim()
		switch {
		case !ok && v.what() == "nothing":
			d.wrong(v.at, v.path, v.path+" has no value", `Write "" for an empty text.`)
		case !ok:
			d.mistyped(v, s.label, s.example)
		case strings.ContainsRune(text, 0):
			d.wrong(v.at, v.path, v.path+" holds a zero byte", "No process can be given one; remove it.")
			ok = false
		}
		return text, ok
	}}
}

func boolRule() rule[bool] {
	s := shape{label: "true or false", example: "true", json: map[string]any{"type": "boolean"}}
	return rule[bool]{s, func(d *decoder, v value) (bool, bool) {
		switch v.what() {
		case "true":
			return true, true
		case "false":
			return false, true
		}
		d.mistyped(v, s.label, s.example)
		return false, false
	}}
}

// wholeRule is a whole number from least to most.
func wholeRule(least, most int) rule[int] {
	s := shape{
		label: "whole number", example: strconv.Itoa(max(least, 2)),
		json: map[string]any{"type": "integer", "minimum": least, "maximum": most},
	}
	return rule[int]{s, func(d *decoder, v value) (int, bool) {
		text, ok := v.number()
		if !ok {
			d.mistyped(v, s.label, s.example)
			return 0, false
		}
		n, err := strconv.Atoi(text)
		if err != nil || strconv.Itoa(n) != text {
			d.wrong(v.at, v.path, fmt.Sprintf("%s has to be a whole number, not %s", v.path, quote(text)), "Write digits only, such as "+s.example+".")
			return 0, false
		}
		if n < least || n > most {
			d.wrong(v.at, v.path, fmt.Sprintf("%s is %d, which is out of range", v.path, n), fmt.Sprintf("It is from %d to %d.", least, most))
			return 0, false
		}
		return n, true
	}}
}

func coresRule() rule[float64] {
	const most = 4096
	s := shape{label: "number", example: "1.5", json: map[string]any{"type": "number", "exclusiveMinimum": 0, "maximum": most}}
	return rule[float64]{s, func(d *decoder, v value) (float64, bool) {
		text, ok := v.number()
		if !ok {
			d.mistyped(v, s.label, s.example)
			return 0, false
		}
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || !(f > 0) || f > most {
			d.wrong(v.at, v.path, fmt.Sprintf("%s is %s, which is not a number of cores", v.path, quote(text)), "It is above 0 and at most 4096; 0.5 is half a core.")
			return 0, false
		}
		return f, true
	}}
}

// maxDuration is longer than anything a deployment waits for.
const maxDuration = 366 * 24 * time.Hour

// durationRule is a time with its unit, at least least.
func durationRule(least time.Duration) rule[time.Duration] {
	s := shape{
		label: "duration", example: "30s",
		about: `A number with its unit, or several: "500ms", "30s", "1h30m". Units are ns, us, ms, s, m and h; a number alone is refused.`,
		json:  map[string]any{"type": "string", "pattern": `^([0-9]+(\.[0-9]+)?(ns|us|µs|ms|s|m|h))+$`},
	}
	const hint = `Write a number with its unit, such as "500ms", "30s" or "1h30m".`
	rule := word(s, hint, func(text string) (time.Duration, error) {
		got, err := time.ParseDuration(text)
		switch {
		case err != nil || strings.ContainsAny(text, "+-") || text == "0":
			return 0, fmt.Errorf("%s is not a duration", quote(text))
		case got < least:
			return 0, &trouble{fmt.Sprintf("%s is too short", text), fmt.Sprintf("It is at least %s.", least)}
		case got > maxDuration:
			return 0, &trouble{fmt.Sprintf("%s is too long", quote(text)), "It is at most 8784h, a year."}
		}
		return got, nil
	})
	texts := rule.read
	rule.read = func(d *decoder, v value) (time.Duration, bool) {
		if number, ok := v.number(); ok {
			d.wrong(v.at, v.path, fmt.Sprintf("%s is a duration, and %s has no unit", v.path, quote(number)), fmt.Sprintf("Write \"%ss\" if you mean seconds; also ms, m and h.", number))
			return 0, false
		}
		return texts(d, v)
	}
	return rule
}

// units of sizes, the longest endings first.
func units() []struct {
	name  string
	bytes float64
} {
	return []struct {
		name  string
		bytes float64
	}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}
}

func sizeRule() rule[int64] {
	s := shape{
		label: "size", example: "512MiB",
		about: `A number with its unit: "512MiB", "1.5GB". KiB, MiB and GiB are powers of 1024; KB, MB and GB of 1000; B is one byte.`,
		json:  map[string]any{"type": "string", "pattern": `^[0-9]+(\.[0-9]+)? ?(B|KiB|MiB|GiB|KB|MB|GB)$`},
	}
	number := regexp.MustCompile(`^[0-9]{1,16}(\.[0-9]{1,9})?$`)
	const hint = `Write a number with its unit, such as "512MiB" or "1.5GB"; the units are B, KiB, MiB, GiB, KB, MB, GB.`
	rule := word(s, hint, func(text string) (int64, error) {
		for _, u := range units() {
			digits, ok := strings.CutSuffix(text, u.name)
			digits = strings.TrimSuffix(digits, " ")
			if !ok || !number.MatchString(digits) {
				continue
			}
			n, err := strconv.ParseFloat(digits, 64)
			if got := n * u.bytes; err == nil && got >= 1 && got <= 1<<50 {
				return int64(got), nil
			}
			return 0, fmt.Errorf("%s is no possible size", quote(text))
		}
		return 0, fmt.Errorf("%s is not a size", quote(text))
	})
	texts := rule.read
	rule.read = func(d *decoder, v value) (int64, bool) {
		if number, ok := v.number(); ok {
			d.wrong(v.at, v.path, fmt.Sprintf("%s is a size, and %s has no unit", v.path, quote(number)), hint)
			return 0, false
		}
		return texts(d, v)
	}
	return rule
}

// urlPathRule is the path of a request; with a query where that makes sense.
func urlPathRule(query bool) rule[string] {
	const hint = `Write the path alone, beginning with "/", such as "/healthz".`
	r := wordOf("URL path", "/healthz", "^/", hint, func(text string) error {
		switch {
		case !strings.HasPrefix(text, "/"):
			return fmt.Errorf(`%s does not begin with "/"`, quote(text))
		case strings.ContainsAny(text, " #\\"):
			return &trouble{fmt.Sprintf("%s holds a character that a URL path can not", quote(text)), "Write blanks as %20 and leave out what follows a #."}
		case !query && strings.Contains(text, "?"):
			return &trouble{fmt.Sprintf("%s holds a query", quote(text)), "Leave out what follows the question mark."}
		}
		if _, err := url.ParseRequestURI(text); err != nil {
			return fmt.Errorf("%s is not a URL path", quote(text))
		}
		return nil
	})
	r.about = `A path that begins with "/".`
	return r
}

// prefixRule is a path prefix that a service answers.
func prefixRule() rule[string] {
	r := urlPathRule(false)
	texts := r.read
	r.example = "/"
	r.read = func(d *decoder, v value) (string, bool) {
		text, ok := texts(d, v)
		if ok && (text != path.Clean(text) || strings.Contains(text, "*")) {
			d.wrong(v.at, v.path, fmt.Sprintf("%s: %s is not a plain prefix", v.path, quote(text)),
				fmt.Sprintf("Write %q: a prefix matches whole segments and everything below, without * or a slash at the end.", path.Clean(strings.ReplaceAll(text, "*", ""))))
			return "", false
		}
		return text, ok
	}
	return r
}

// fileRule is a path inside the release or checkout; a pattern where wanted.
func fileRule(label, example string, pattern bool) rule[string] {
	const hint = "Write a path inside the repository, such as \"static\" or \"bin/*\"."
	r := wordOf(label, example, "", hint, func(text string) error {
		clean := path.Clean(text)
		switch {
		case text == "" || strings.ContainsAny(text, "\x00\\"):
			return fmt.Errorf("%s is not a path", quote(text))
		case path.IsAbs(text) || clean == ".." || strings.HasPrefix(clean, "../"):
			return fmt.Errorf("%s is outside of the repository", quote(text))
		}
		if _, err := path.Match(text, ""); pattern && err != nil {
			return &trouble{fmt.Sprintf("%s is not a pattern", quote(text)), "Close the square bracket; * and ? stand for characters, [a-z] for one of several."}
		}
		return nil
	})
	r.about = "A path inside the repository; in lists also a pattern with * and ?."
	return r
}

func variableRule() rule[string] {
	pattern := regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	const hint = "Use letters, digits and underscores, not beginning with a digit, such as \"DATA_DIR\"."
	r := wordOf("variable", "DATA_DIR", pattern.String(), hint, func(text string) error {
		switch {
		case !pattern.MatchString(text):
			return fmt.Errorf("%s is not the name of a variable", quote(text))
		case text == "PORT" || text == "HOST" || strings.HasPrefix(text, "NOON_"):
			return &trouble{text + " is given to processes by noon itself", "Use another name. noon sets PORT, HOST and everything that begins with NOON_."}
		}
		return nil
	})
	r.about = "Letters, digits and underscores, not beginning with a digit. PORT, HOST and what begins with NOON_ are noon's own."
	return r
}

func headerRule() rule[string] {
	pattern := regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	return wordOf("header", "Content-Type", "", "Write a name such as \"Content-Type\".", func(text string) error {
		if !pattern.MatchString(text) {
			return fmt.Errorf("%s is not the name of a header", quote(text))
		}
		return nil
	})
}

func methodRule() rule[string] {
	return choice("method", http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut,
		http.MethodPatch, http.MethodDelete, http.MethodOptions)
}

// domainRule is a host name; the first label may be a star.
func domainRule() rule[string] {
	label := `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`
	pattern := regexp.MustCompile(`^(\*\.)?` + label + `(\.` + label + `)*$`)
	const hint = `Write the host name alone in lower case, such as "shop.example.com" or "*.example.com".`
	return wordOf("domain", "shop.example.com", pattern.String(), hint, func(text string) error {
		if len(text) > 253 || !pattern.MatchString(text) {
			return fmt.Errorf("%s is not a domain", quote(text))
		}
		return nil
	})
}

// anyRule is whatever JSON can hold. Numbers are float64, as they are after
// the app has been stored and read again.
func anyRule() rule[any] {
	s := shape{label: "JSON value", example: "100", about: "Anything that JSON can hold. Numbers have at most 15 digits.", json: map[string]any{}}
	return rule[any]{s, func(d *decoder, v value) (any, bool) { return d.anything(v) }}
}
