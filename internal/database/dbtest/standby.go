package dbtest

import (
	"context"
	"fmt"
)

// Standby starts a replica of a PostgreSQL server: a copy of it by
// pg_basebackup that follows it by streaming and can be read. Settings are as
// those of Postgres. A server without pg_basebackup gives an os.ErrNotExist.
func Standby(ctx context.Context, primary *Server, settings ...string) (*Server, error) {
	found, err := findPostgres()
	if err != nil {
		return nil, err
	}
	return start(ctx, standby{postgres: postgres{programs: found, settings: settings}, primary: primary.port})
}

type standby struct {
	postgres
	primary int
}

// create copies the primary, with where it is.
func (p standby) create(ctx context.Context, s *Server) error {
	from := fmt.Sprintf("host=127.0.0.1 port=%d user=%s password=%s sslmode=disable", p.primary, Superuser, Password)
	return s.run(ctx, p.environment(), p.path("pg_basebackup"), "-D", p.data(s), "-d", from, "-X", "stream", "-c", "fast", "-R", "--no-sync")
}
