package manifest

import "github.com/noon-deploy/noon"

// servicePath is an entry of a service's paths.
type servicePath struct {
	prefix string
	strip  bool
}

// servicePathRule is a prefix, or a map that says more of one.
func servicePathRule() rule[servicePath] {
	prefix := prefixRule()
	long := object("URL path prefix", []field[servicePath]{
		key("prefix", prefix, func(p *servicePath) *string { return &p.prefix },
			"URL path prefix.").must(),
		key("strip", boolRule(), func(p *servicePath) *bool { return &p.strip },
			"Instances see requests without the prefix: /api/items as /items.").or("false"),
	})
	s := long.shape
	s.example, s.short = "/", prefix.json
	return rule[servicePath]{s, func(d *decoder, v value) (servicePath, bool) {
		if _, ok := v.text(); !ok && v.what() == "a map" {
			return long.read(d, v)
		}
		text, ok := prefix.read(d, v)
		return servicePath{prefix: text}, ok
	}}
}

func setPaths(s *noon.Service, paths []servicePath) {
	for _, p := range paths {
		s.Paths = append(s.Paths, p.prefix)
		if p.strip && p.prefix != "/" {
			s.Strip = append(s.Strip, p.prefix)
		}
	}
}
