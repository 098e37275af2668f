package load

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// OrdersInFile reads the shop's SQLite file: what is stored, whichever release
// would tell about it, and also when none is up.
func OrdersInFile(path string) Orders {
	return func(ctx context.Context, each func(StoredOrder)) (err error) {
		dsn := url.URL{Scheme: "file", Path: path, RawQuery: url.Values{
			"mode": {"ro"}, "_pragma": {"busy_timeout(10000)"},
		}.Encode()}
		db, err := sql.Open("sqlite", dsn.String())
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, db.Close()) }()
		rows, err := db.QueryContext(ctx, `SELECT o.id, o.key, o.name, o.email, o.total, o.pieces, o.attempts,
			(SELECT count(*) FROM handlings h WHERE h.order_id = o.id) FROM orders o ORDER BY o.id`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var o StoredOrder
			if err := rows.Scan(&o.ID, &o.Key, &o.Name, &o.Email, &o.Total, &o.Pieces, &o.Attempts, &o.Handled); err != nil {
				return err
			}
			each(o)
		}
		return rows.Err()
	}
}

// OrdersOverHTTP asks the shop: base is "http://host:port", host the Host
// header if it differs, token the shop's ADMIN_TOKEN.
func OrdersOverHTTP(base, host, token string) Orders {
	return func(ctx context.Context, each func(StoredOrder)) error {
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		asker := &http.Client{Transport: transport, Timeout: time.Minute}
		var after int64
		for {
			page, err := ordersAfter(ctx, asker, base, host, token, after)
			if err != nil {
				return err
			}
			for _, o := range page.Orders {
				if o.ID <= after {
					return fmt.Errorf("/orders.json: order %d follows order %d", o.ID, after)
				}
				after = o.ID
				each(o)
			}
			if !page.More {
				return nil
			}
			if len(page.Orders) == 0 {
				return errors.New("/orders.json: there is more, but nothing came")
			}
		}
	}
}

type ordersPage struct {
	Orders []StoredOrder `json:"orders"`
	More   bool          `json:"more"`
}

func ordersAfter(ctx context.Context, asker *http.Client, base, host, token string, after int64) (page ordersPage, err error) {
	address := fmt.Sprintf("%s/orders.json?after=%d", strings.TrimSuffix(base, "/"), after)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return page, err
	}
	q.Host = host
	q.Header.Set("Authorization", "Bearer "+token)
	answer, err := asker.Do(q)
	if err != nil {
		return page, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return page, fmt.Errorf("GET %s: %s", address, answer.Status)
	}
	if err := json.NewDecoder(answer.Body).Decode(&page); err != nil {
		return page, fmt.Errorf("GET %s: %w", address, err)
	}
	return page, nil
}
