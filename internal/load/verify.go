package load

import (
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// StoredOrder is an order as the shop has stored it.
type StoredOrder struct {
	ID       int64  `json:"id"`
	Key      string `json:"key"`
	Name     string `json:"name"`
	Email    string `json:"email"`
	Total    int64  `json:"total"` // cents
	Pieces   int64  `json:"pieces"`
	Attempts int64  `json:"attempts"` // how often the shop was asked for it
	Handled  int64  `json:"handled"`  // how often a worker handled it
}

// UnmarshalJSON reads an order in the words of any release of the shop: some
// call the name customer, some have it in two parts.
func (s *StoredOrder) UnmarshalJSON(text []byte) error {
	type plain StoredOrder
	var words struct {
		plain
		Customer string `json:"customer"`
		First    string `json:"first_name"`
		Last     string `json:"last_name"`
	}
	if err := json.Unmarshal(text, &words); err != nil {
		return err
	}
	*s = StoredOrder(words.plain)
	s.Name = cmp.Or(s.Name, words.Customer, strings.TrimSpace(words.First+" "+words.Last))
	return nil
}

// of is what the shop has of an order that was sent so often.
func (s *StoredOrder) of(sent int64) order {
	return order{id: s.ID, name: s.Name, email: s.Email, total: s.Total, pieces: s.Pieces, sent: sent}
}

// Orders reads all orders of the shop: OrdersInFile or OrdersOverHTTP.
type Orders func(ctx context.Context, each func(StoredOrder)) error

// Verification is what the shop owes compared with what it has.
type Verification struct {
	Acknowledged int64    `json:"acknowledged"` // orders a customer was told about
	Stored       int64    `json:"stored"`       // of these, stored as it was told: number, name, e-mail address, pieces and price
	Missing      int64    `json:"missing"`      // of these, not
	Duplicated   int64    `json:"duplicated"`   // stored orders beyond the one of a key or a customer
	Resent       int64    `json:"resent"`       // orders that reached the shop more often than the customer sent them
	HandledTwice int64    `json:"handled_twice"`
	Unhandled    int64    `json:"unhandled"` // not handled yet: workers may still be at it
	Uploads      int64    `json:"uploads"`
	UploadsLost  int64    `json:"uploads_lost"`
	Details      []string `json:"details,omitempty"` // the first ones
}

// Verify compares the acknowledged orders with those that the shop has
// stored, and reads every acknowledged picture back. Run has ended by then.
func (l *Load) Verify(ctx context.Context, orders Orders) (Verification, error) {
	if err := l.resolve(); err != nil {
		return Verification{}, err
	}
	c := comparison{owed: l.book.owed(), byEmail: map[string]int64{}, byKey: map[string]StoredOrder{}, run: "." + l.run + "@"}
	if err := orders(ctx, c.see); err != nil {
		return Verification{}, fmt.Errorf("read stored orders: %w", err)
	}
	v := c.compare()
	if err := l.readUploads(ctx, &v); err != nil {
		return Verification{}, err
	}
	l.book.lost(v.UploadsLost)
	return v, nil
}

// comparison sees every stored order once.
type comparison struct {
	owed    map[string]order // by key
	run     string           // what our customers' addresses have in common
	byKey   map[string]StoredOrder
	byEmail map[string]int64
	v       Verification
}

func (c *comparison) see(s StoredOrder) {
	owed, acknowledged := c.owed[s.Key]
	if !acknowledged && !strings.Contains(s.Email, c.run) {
		return // somebody else's
	}
	before, again := c.byKey[s.Key]
	c.byEmail[s.Email]++
	if again || c.byEmail[s.Email] > 1 {
		c.v.Duplicated++
		c.v.note("order %d of %s was bought before (order %d of the same key)", s.ID, s.Email, before.ID)
	}
	if !again || s.ID == owed.id {
		c.byKey[s.Key] = s
	}
	if s.Handled > 1 {
		c.v.HandledTwice++
		c.v.note("order %d was handled %d times", s.ID, s.Handled)
	}
	if s.Handled == 0 {
		c.v.Unhandled++
	}
}

func (c *comparison) compare() Verification {
	v := &c.v
	v.Acknowledged = int64(len(c.owed))
	for _, key := range slices.Sorted(maps.Keys(c.owed)) {
		owed := c.owed[key]
		stored, ok := c.byKey[key]
		switch {
		case !ok:
			v.Missing++
			v.note("%s is not stored", owed)
			continue
		case stored.of(owed.sent) != owed:
			v.Missing++
			v.note("%s is stored as %s", owed, stored.of(owed.sent))
			continue
		}
		v.Stored++
		if stored.Attempts > owed.sent {
			v.Resent++
			v.note("order %d was sent %d times and arrived %d times", owed.id, owed.sent, stored.Attempts)
		}
	}
	return *v
}

func (v *Verification) note(format string, args ...any) {
	if len(v.Details) < maxFailures {
		v.Details = append(v.Details, fmt.Sprintf(format, args...))
	}
}

// readUploads reads back every acknowledged picture.
func (l *Load) readUploads(ctx context.Context, v *Verification) error {
	reader := &client{address: l.address, host: l.host, timeout: l.config.Timeout, keep: true}
	defer reader.close()
	for _, sha := range l.book.sent() {
		v.Uploads++
		a, err := reader.do(ctx, request{method: http.MethodGet, path: "/uploads/" + sha})
		if ctx.Err() != nil {
			return fmt.Errorf("read uploads: %w", context.Cause(ctx))
		}
		if err == nil {
			var sum [32]byte
			if _, err = hex.Decode(sum[:], []byte(sha)); err == nil {
				err = sameBytes(sum)(a)
			}
		}
		if err != nil {
			v.UploadsLost++
			v.note("picture %s: %v", sha, err)
		}
	}
	return nil
}

func (b *book) owed() map[string]order {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.orders)
}

func (b *book) sent() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.uploads))
}

func (b *book) lost(uploads int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r.UploadsLost = uploads
}
