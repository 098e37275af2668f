package grammar

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	"github.com/noon-deploy/noon/internal/database/lint"
)

// answers are the newest ones: a plan is made when it is shown, when it is asked
// for, and when its turn has come, most often of the same. How often a query was
// run makes no difference.
type answers struct {
	mu   sync.Mutex
	list []remembered // newest last
}

const keptAnswers = 8

type remembered struct {
	key      [sha256.Size]byte
	findings [][]lint.Finding
}

// keyOf is the same for what has the same answer.
func keyOf(l Lint) ([sha256.Size]byte, error) {
	if l.Catalog != nil {
		c := *l.Catalog
		c.Queries = slices.Clone(c.Queries)
		for i := range c.Queries {
			c.Queries[i].Calls = 0
		}
		slices.SortFunc(c.Queries, func(a, b lint.Query) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Text, b.Text)) })
		l.Catalog = &c
	}
	text, err := json.Marshal(l)
	if err != nil {
		return [sha256.Size]byte{}, fmt.Errorf("write the order: %w", err)
	}
	return sha256.Sum256(text), nil
}

func (a *answers) find(key [sha256.Size]byte) ([][]lint.Finding, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	i := slices.IndexFunc(a.list, func(r remembered) bool { return r.key == key })
	if i < 0 {
		return nil, false
	}
	return a.list[i].findings, true
}

func (a *answers) keep(key [sha256.Size]byte, findings [][]lint.Finding) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.list = append(a.list, remembered{key, findings})
	a.list = slices.Delete(a.list, 0, max(0, len(a.list)-keptAnswers))
}
