package manifest

import (
	"fmt"
	"time"

	"github.com/noon-deploy/noon"
)

// smoke is a request as it is written: get and post are short for method and
// path.
type smoke struct {
	noon.Smoke
	get, post string
}

func smokeRule() rule[noon.Smoke] {
	written := object("request", []field[smoke]{
		key("name", nameRule(), func(s *smoke) *string { return &s.Name },
			"How the check is called in messages.").must(),
		key("get", urlPathRule(true), func(s *smoke) *string { return &s.get },
			"Path of a GET request, with its query."),
		key("post", urlPathRule(true), func(s *smoke) *string { return &s.post },
			"Path of a POST request, with its query."),
		key("method", methodRule(), func(s *smoke) *string { return &s.Method },
			"Method of the request to \"path\".").or("GET"),
		key("path", urlPathRule(true), func(s *smoke) *string { return &s.Path },
			"Path of the request, with its query, instead of \"get\" or \"post\"."),
		key("headers", headersRule(), func(s *smoke) *map[string]string { return &s.Headers },
			"Headers of the request."),
		key("body", valueRule(), func(s *smoke) *string { return &s.Body },
			"Body of the request."),
		key("timeout", durationRule(time.Millisecond), func(s *smoke) *time.Duration { return &s.Timeout },
			"How long the whole answer may take.").or("5s"),
		key("expect", expectRule(), func(s *smoke) *noon.Expect { return &s.Expect },
			"What the answer has to be. Everything that is written has to hold.").or("{}"),
	}, oneTarget)
	written.json = map[string]any{"oneOf": []any{
		map[string]any{"required": []any{"get"}}, map[string]any{"required": []any{"post"}}, map[string]any{"required": []any{"path"}},
	}}
	return rule[noon.Smoke]{written.shape, func(d *decoder, v value) (noon.Smoke, bool) {
		s, ok := written.read(d, v)
		switch {
		case s.get != "":
			s.Method, s.Path = "GET", s.get
		case s.post != "":
			s.Method, s.Path = "POST", s.post
		}
		return s.Smoke, ok
	}}
}

// oneTarget checks that a request has exactly one path.
func oneTarget(d *decoder, v value, _ *smoke) {
	var first string
	for _, way := range []string{"get", "post", "path"} {
		at := join(v.path, way)
		if !d.written(at) {
			continue
		}
		if first != "" {
			d.wrong(d.marks[at].key, at, fmt.Sprintf("%s has two targets: %s and %s", v.path, first, way), "Keep one of get, post and path.")
		}
		first = way
	}
	method := join(v.path, "method")
	switch {
	case first == "":
		d.wrong(v.at, v.path, fmt.Sprintf("%s does not say what to ask for", v.path), `Add "get: /" or another path.`)
	case first != "path" && d.written(method):
		d.wrong(d.marks[method].key, method, fmt.Sprintf("%s has a method besides %s", v.path, first), fmt.Sprintf("Remove it, or write \"path\" instead of %q.", first))
	}
}

func headersRule() rule[map[string]string] {
	text := valueRule()
	values := text.read
	text.read = func(d *decoder, v value) (string, bool) {
		got, ok := values(d, v)
		for _, r := range got {
			if ok && (r < ' ' && r != '\t' || r == 0x7f) {
				d.wrong(v.at, v.path, fmt.Sprintf("%s holds a line break or control character", v.path), "Write the value in one line.")
				return "", false
			}
		}
		return got, ok
	}
	text.example = "text/html"
	return dictionary("headers with values", headerRule(), text)
}

func expectRule() rule[noon.Expect] {
	text := textRule("text", `"Add to cart"`)
	paths := wordOf("JSON path", "items.0.price", "", "Write keys and indexes with dots between, such as \"items.0.price\".", func(p string) error {
		if p == "" {
			return fmt.Errorf("the path is empty")
		}
		return nil
	})
	return object("expectation", []field[noon.Expect]{
		key("status", wholeRule(100, 599), func(e *noon.Expect) *int { return &e.Status },
			"The exact status.").or("200"),
		key("headers", headersRule(), func(e *noon.Expect) *map[string]string { return &e.Headers },
			"Text that each of these headers has to hold."),
		key("body", list("list of texts", text), func(e *noon.Expect) *[]string { return &e.Body },
			"Texts that the body has to hold."),
		key("not-body", list("list of texts", text), func(e *noon.Expect) *[]string { return &e.NotBody },
			"Texts that the body must not hold."),
		key("json", dictionary("JSON paths with values", paths, anyRule()), func(e *noon.Expect) *map[string]any { return &e.JSON },
			"Values that the JSON body has to have at these paths, such as \"items.0.price\"."),
	})
}
