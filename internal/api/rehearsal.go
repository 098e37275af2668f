package api

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/noon-deploy/noon"
)

// RehearsalDesk is what the server asks about rehearsals. Every field is
// required.
type RehearsalDesk struct {
	Rehearse       func(ctx context.Context, req RehearseRequest) (noon.Rehearsal, error)
	Rehearsals     func(ctx context.Context, site noon.Site, limit int) ([]noon.Rehearsal, error)
	Rehearsal      func(ctx context.Context, id int64) (noon.Rehearsal, error)
	WatchRehearsal func(ctx context.Context, id int64, see func(noon.Rehearsal) error) error
	StopRehearsal  func(ctx context.Context, id int64) (noon.Rehearsal, error)
}

func rehearsalParam() param { return param{"id", "path", "integer", "number of the rehearsal"} }

func (d RehearsalDesk) listed(r *http.Request) ([]noon.Rehearsal, error) {
	site, err := siteOf(r)
	if err != nil {
		return nil, err
	}
	limit, err := number(r, "limit")
	if err != nil {
		return nil, err
	}
	return d.Rehearsals(r.Context(), site, limit)
}

func (d RehearsalDesk) watch() route {
	return streams("/rehearsals/{id}/watch", "the rehearsal each time it changes", []param{rehearsalParam()},
		func(r *http.Request, see func(noon.Rehearsal) error) error {
			id, err := rehearsalOf(r)
			if err != nil {
				return err
			}
			return d.WatchRehearsal(r.Context(), id, see)
		})
}

func withRehearsal(do func(context.Context, int64) (noon.Rehearsal, error)) func(*http.Request) (noon.Rehearsal, error) {
	return func(r *http.Request) (noon.Rehearsal, error) {
		id, err := rehearsalOf(r)
		if err != nil {
			return noon.Rehearsal{}, err
		}
		return do(r.Context(), id)
	}
}

func rehearsalOf(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 1 {
		return 0, &noon.Error{Kind: noon.Invalid, Op: "read request", Subject: "rehearsal", Err: fmt.Errorf("%q is not a number from 1", r.PathValue("id"))}
	}
	return id, nil
}

// Rehearse begins a rehearsal.
func (c *Client) Rehearse(ctx context.Context, req RehearseRequest) (noon.Rehearsal, error) {
	return post[noon.Rehearsal](ctx, c, "/rehearsals", req)
}

// Rehearsals lists rehearsals of a site, newest first.
func (c *Client) Rehearsals(ctx context.Context, site noon.Site, limit int) ([]noon.Rehearsal, error) {
	return get[[]noon.Rehearsal](ctx, c, "/rehearsals", url.Values{"site": {site.Key()}, "limit": {strconv.Itoa(limit)}})
}

// Rehearsal returns one rehearsal.
func (c *Client) Rehearsal(ctx context.Context, id int64) (noon.Rehearsal, error) {
	return get[noon.Rehearsal](ctx, c, fmt.Sprintf("/rehearsals/%d", id), nil)
}

// WatchRehearsal calls see with the rehearsal each time it changes, until it
// has ended or see fails.
func (c *Client) WatchRehearsal(ctx context.Context, id int64, see func(noon.Rehearsal) error) error {
	return stream(ctx, c, fmt.Sprintf("/rehearsals/%d/watch", id), nil, see)
}

// StopRehearsal ends a rehearsal. Its copy is dropped.
func (c *Client) StopRehearsal(ctx context.Context, id int64) (noon.Rehearsal, error) {
	return post[noon.Rehearsal](ctx, c, fmt.Sprintf("/rehearsals/%d/stop", id), struct{}{})
}
