package load

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// customer is one person with one browser.
type customer struct {
	load    *Load
	client  *client
	rand    *mathrand.Rand
	number  uint64
	leaving <-chan struct{} // closed when the run ends: nobody dawdles
	cookie  string
}

func (l *Load) newCustomer(leaving context.Context, number uint64) *customer {
	random := mathrand.New(mathrand.NewPCG(l.config.Seed, number))
	return &customer{
		load: l, rand: random, number: number, leaving: leaving.Done(),
		client: &client{address: l.address, host: l.host, timeout: l.config.Timeout, keep: random.IntN(4) > 0},
	}
}

// journey is one visit, from the door to the door.
func (l *Load) journey(leaving, ctx context.Context, number uint64) {
	c := l.newCustomer(leaving, number)
	defer c.client.close()
	l.book.count(func(r *Result) *int64 { return &r.Journeys })
	switch n := c.rand.IntN(100); {
	case n < 40:
		c.browse(ctx)
	case n < 55:
		c.fillCart(ctx)
	case n < 88:
		c.buy(ctx)
	default:
		c.sendPicture(ctx)
	}
}

// ask sends one request and checks its answer; false if something was wrong
// with it, and the customer goes home.
func (c *customer) ask(ctx context.Context, q request, check func(answer) error) (answer, bool) {
	if q.header == nil {
		q.header = http.Header{}
	}
	if c.cookie != "" {
		q.header.Set("Cookie", c.cookie)
	}
	started := c.load.book.begin(q.method + " " + q.path)
	a, err := c.client.do(ctx, q)
	if err == nil {
		c.keepCookie(a)
		err = check(a)
	}
	c.load.book.end(started, a.header, err)
	return a, err == nil
}

func (c *customer) get(ctx context.Context, path string, check func(answer) error) (answer, bool) {
	return c.ask(ctx, request{method: http.MethodGet, path: path}, check)
}

func (c *customer) post(ctx context.Context, path, kind string, body []byte, check func(answer) error) (answer, bool) {
	header := http.Header{"Content-Type": {kind}, "Accept": {"application/json"}}
	if kind == formType {
		header.Set("Accept", "text/html")
	}
	return c.ask(ctx, request{method: http.MethodPost, path: path, header: header, body: body}, check)
}

const formType = "application/x-www-form-urlencoded"

func form(pairs ...string) []byte {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		values.Set(pairs[i], pairs[i+1])
	}
	return []byte(values.Encode())
}

func (c *customer) keepCookie(a answer) {
	for _, line := range a.header.Values("Set-Cookie") {
		c.cookie, _, _ = strings.Cut(line, ";")
	}
}

// think is the time between two clicks. At the end of the run nobody dawdles.
func (c *customer) think() {
	wait := time.NewTimer(time.Duration(10+c.rand.IntN(150)) * time.Millisecond)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-c.leaving:
	}
}

// page wants a status and a text in the body.
func page(status int, contains string) func(answer) error {
	return func(a answer) error {
		if err := a.is(status); err != nil {
			return err
		}
		if !strings.Contains(string(a.body), contains) {
			return fmt.Errorf("the page does not contain %q: %s", contains, a.excerpt())
		}
		return nil
	}
}

func (a answer) is(status int) error {
	if a.status != status {
		return fmt.Errorf("answered %d instead of %d: %s", a.status, status, a.excerpt())
	}
	return nil
}

// excerpt is the beginning of the body on one line.
func (a answer) excerpt() string {
	const most = 160
	text := strings.Join(strings.Fields(string(a.body[:min(len(a.body), 4*most)])), " ")
	return fmt.Sprintf("%.*s", most, text)
}
