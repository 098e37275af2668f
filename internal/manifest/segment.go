package manifest

import (
	"fmt"
	"maps"
	"slices"

	"github.com/noon-deploy/noon"
)

// users is a segment as it is written.
type users struct {
	name                    string
	cookies, headers, query map[string][]string
	addresses               []string
}

func segmentsRule() rule[[]noon.Segment] {
	written := named("segments by name", segmentRule(), func(u *users) *string { return &u.name })
	return rule[[]noon.Segment]{written.shape, func(d *decoder, v value) ([]noon.Segment, bool) {
		all, ok := written.read(d, v)
		var segments []noon.Segment
		for _, u := range all {
			segments = append(segments, u.segment())
		}
		return segments, ok
	}}
}

func segmentRule() rule[users] {
	name := headerRule()
	name.label, name.example = "cookie", "beta"
	parameter := textRule("parameter", "beta")
	return object("segment", []field[users]{
		key("cookies", dictionary("cookies with values", name, valuesRule()), func(u *users) *map[string][]string { return &u.cookies },
			"Users whose requests have one of these cookies."),
		key("headers", dictionary("headers with values", headerRule(), valuesRule()), func(u *users) *map[string][]string { return &u.headers },
			"Users whose requests have one of these headers."),
		key("query", dictionary("parameters with values", parameter, valuesRule()), func(u *users) *map[string][]string { return &u.query },
			"Users whose requests have one of these parameters."),
		key("addresses", list("list of addresses", addressRule(), unique[string]), func(u *users) *[]string { return &u.addresses },
			"Users that come from one of these addresses."),
	}, func(d *decoder, v value, u *users) {
		if len(u.cookies)+len(u.headers)+len(u.query)+len(u.addresses) == 0 && d.sound(join(v.path, "cookies"), join(v.path, "headers"), join(v.path, "query"), join(v.path, "addresses")) {
			d.wrong(v.key, v.path, fmt.Sprintf("%s has nobody", v.path), `Say who belongs to it, such as "cookies: {beta: \"1\"}" or "addresses: [192.0.2.0/24]".`)
		}
	})
}

// valuesRule is what a property may be: one value, or several; without any it
// is enough that the property is there.
func valuesRule() rule[[]string] {
	one := valueRule()
	several := list("list of values", one, unique[string])
	s := shape{
		label: "value or list of values", example: `"1"`, about: "One value, or a list of values of which any counts. An empty list: any value at all.",
		json: map[string]any{"oneOf": []any{one.json, map[string]any{"type": "array", "items": one.json}}},
	}
	return rule[[]string]{s, func(d *decoder, v value) ([]string, bool) {
		if v.what() == "a list" {
			return several.read(d, v)
		}
		text, ok := one.read(d, v)
		if !ok {
			return nil, false
		}
		return []string{text}, true
	}}
}

// segment puts the properties in an order that does not depend on the file.
func (u users) segment() noon.Segment {
	s := noon.Segment{Name: u.name, Addresses: u.addresses}
	for _, part := range []struct {
		in     string
		values map[string][]string
	}{{"cookie", u.cookies}, {"header", u.headers}, {"query", u.query}} {
		for _, name := range slices.Sorted(maps.Keys(part.values)) {
			s.Matches = append(s.Matches, noon.Match{In: part.in, Name: name, Values: part.values[name]})
		}
	}
	return s
}
