package rules

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/noon-deploy/noon"
)

// Pages are the pages of noon's own answers.
type Pages struct {
	exact map[int][]byte
	class [6][]byte // by the first digit
}

// CompilePages makes Pages.
func CompilePages(pages map[string]string) (Pages, error) {
	var out Pages
	var errs []error
	size := 0
	for _, status := range slices.Sorted(maps.Keys(pages)) {
		if err := noon.ValidPage(status); err != nil {
			errs = append(errs, err)
			continue
		}
		page := []byte(pages[status])
		size += len(page)
		if len(page) > noon.PageLimit {
			errs = append(errs, fmt.Errorf("the page for %s has %d bytes, the limit is %d", status, len(page), noon.PageLimit))
		}
		digit := int(status[0] - '0')
		if status[1] == 'x' {
			out.class[digit] = page
			continue
		}
		if out.exact == nil {
			out.exact = map[int][]byte{}
		}
		out.exact[digit*100+int(status[1]-'0')*10+int(status[2]-'0')] = page
	}
	if size > noon.PagesLimit {
		errs = append(errs, fmt.Errorf("the pages have %d bytes, the limit is %d", size, noon.PagesLimit))
	}
	return out, errors.Join(errs...)
}

// Page gives the HTML for a status: its own page, or that of its class.
func (p *Pages) Page(status int) ([]byte, bool) {
	if page, ok := p.exact[status]; ok {
		return page, true
	}
	if class := status / 100; class >= 0 && class < len(p.class) && p.class[class] != nil {
		return p.class[class], true
	}
	return nil, false
}
