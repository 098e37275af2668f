package mariadb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/change"
	"github.com/noon-deploy/noon/internal/fault"
)

// Config says whose schema is changed, and how gently. Zero values are the
// defaults that the fields name.
type Config struct {
	URL  string // mariadb:// or mysql://USER:PASSWORD@HOST:PORT/DATABASE, with ?tls= (true, skip-verify, preferred) and ?socket=PATH
	App  string // prefix of users and databases of releases: lower-case letters, digits and _, at most 30
	User string // that the app had before noon, whose sessions use the tables. The user of URL
	// Names begins the names of users and databases of releases, at most 64 bytes:
	// App. On a copy of a database, whose journal is the same, it is that of the copy.
	Names string

	LockTimeout time.Duration // how long a change of a table waits for others, while everybody waits behind it: 200 ms
	LockBudget  time.Duration // how long it is tried again: 2 min
	Workers     int           // of a backfill, 1 to 8: 2
	Batch       int           // most rows of one of its transactions: 2000
	BatchTime   time.Duration // that one of them shall take at most: 50 ms
	MaxLag      time.Duration // of replicas that noon can ask, before a backfill pauses: 10 s
	Wait        bool          // wait for another engine's end instead of refusing
	Epoch       int64         // of the controller that asks; who has seen a newer one refuses. 0: nobody's

	Log   *slog.Logger  // nil: none
	Fault *fault.Points // nil: none
	Trace Trace         `json:"-"` // nil: none
}

// Engine changes the schema of one app in one database. It keeps no
// connection between calls. It may be used by several goroutines; calls that
// change something exclude each other, in all processes.
type Engine struct {
	c        Config
	database string
	login    string // user of URL
	maria    bool   // not MySQL
}

var appName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,29}$`)

// Open checks the configuration and that the server answers and can be worked
// with. Nothing is changed.
func Open(ctx context.Context, c Config) (*Engine, error) {
	if !appName.MatchString(c.App) {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: c.App, Err: errors.New("this can not begin the name of a database"), Hint: "An app's name here has lower-case letters, digits and _, begins with a letter, and has at most 30 of them."}
	}
	c.Names = cmp.Or(c.Names, c.App)
	c.LockTimeout = cmp.Or(c.LockTimeout, 200*time.Millisecond)
	c.LockBudget = cmp.Or(c.LockBudget, 2*time.Minute)
	c.Workers = min(max(cmp.Or(c.Workers, 2), 1), 8)
	c.Batch = max(cmp.Or(c.Batch, 2000), 1)
	c.BatchTime = cmp.Or(c.BatchTime, 50*time.Millisecond)
	c.MaxLag = cmp.Or(c.MaxLag, 10*time.Second)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	config, err := parse(c.URL)
	if err != nil {
		return nil, &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: c.App, Err: err, Hint: "An address is mysql://USER:PASSWORD@HOST:PORT/DATABASE."}
	}
	e := &Engine{c: c, database: config.DBName, login: config.User}
	e.c.User = cmp.Or(c.User, config.User)
	db, conn, err := e.connect(ctx)
	if err != nil {
		return nil, err
	}
	defer hangUp(db, conn)
	return e, e.suits(ctx, conn)
}

// parse reads an address. Its text is in no error: it holds a password.
func parse(address string) (*mysql.Config, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address is no URL")
	}
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Net, config.Addr = "tcp", u.Host
	if u.Port() == "" {
		config.Addr = u.Hostname() + ":3306"
	}
	switch {
	case u.Scheme != "mysql" && u.Scheme != "mariadb":
		return nil, errors.New("the address does not begin with mysql:// or mariadb://")
	case config.DBName == "":
		return nil, errors.New("the address names no database")
	}
	for name, values := range u.Query() {
		switch name {
		case "tls":
			config.TLSConfig = values[0]
		case "socket":
			config.Net, config.Addr = "unix", values[0]
		default:
			return nil, fmt.Errorf("the address has the parameter %q; known are tls and socket", name)
		}
	}
	config.InterpolateParams, config.Timeout, config.Logger = true, 10*time.Second, silence{}
	return config, nil
}

// silence is for a driver that prints what it returns as an error too.
type silence struct{}

func (silence) Print(...any) {}

// connect opens a pool, and a session that holds the engine's lock or looks. Its
// settings do not depend on those of the server.
func (e *Engine) connect(ctx context.Context) (*sql.DB, *sql.Conn, error) {
	config, err := parse(e.c.URL)
	if err != nil {
		return nil, nil, err
	}
	config.Params = map[string]string{
		"sql_mode":                 "'STRICT_TRANS_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'",
		"time_zone":                "'+00:00'",
		"wait_timeout":             "28800",
		"innodb_lock_wait_timeout": "1",
		"lock_wait_timeout":        "1",
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, nil, fmt.Errorf("read the address: %w", err)
	}
	if e.c.Trace != nil {
		connector = tracer{connector, e.c.Trace}
	}
	db := sql.OpenDB(connector)
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, nil, errors.Join(explain("open database", fmt.Sprintf("%s at %s", config.DBName, config.Addr), err), db.Close())
	}
	return db, conn, nil
}

func hangUp(db *sql.DB, conn *sql.Conn) {
	_ = conn.Close() // what it held is rolled back in any case
	_ = db.Close()
}

// suits refuses servers that can not be worked with.
func (e *Engine) suits(ctx context.Context, conn *sql.Conn) error {
	var version, format string
	var logs bool
	if err := conn.QueryRowContext(ctx, "SELECT version(), @@log_bin, @@binlog_format").Scan(&version, &logs, &format); err != nil {
		return explain("look at the server", e.c.App, err)
	}
	e.maria = strings.Contains(strings.ToLower(version), "maria")
	var major, minor, patch int
	if _, err := fmt.Sscanf(version, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return explain("read the server's version", version, err)
	}
	least, number := 8_00_23, major*10000+minor*100+patch
	if e.maria {
		least = 10_06_00
	}
	switch {
	case number < least:
		return &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: e.c.App, Err: fmt.Errorf("the server has version %s", version), Hint: "Upgrade it to MariaDB 10.6, MySQL 8.0.23 or newer."}
	case logs && format == "STATEMENT":
		return &noon.Error{Kind: noon.Invalid, Op: "open database", Subject: e.c.App, Err: errors.New("the server writes statements into its binary log, and a replica does not know which user has run one"), Hint: "SET GLOBAL binlog_format = 'MIXED' (or ROW), and let the app connect again. Nothing was changed."}
	}
	return nil
}

// Plan computes how the version in force becomes the next. Everything that
// depends on what changes is looked at here, and columns, indexes and
// expressions are tried on empty temporary copies of the tables. If the change
// can not be made the plan comes with an error that says why.
func (e *Engine) Plan(ctx context.Context, set change.Set) (Plan, error) {
	db, conn, err := e.connect(ctx)
	if err != nil {
		return Plan{}, err
	}
	defer hangUp(db, conn)
	if err := e.allowed(ctx, conn); err != nil {
		return Plan{}, err
	}
	target := Target{App: e.c.App, Database: e.database, Comments: e.maria}
	list, err := e.versions(ctx, conn)
	if err != nil {
		return Plan{}, err
	}
	for _, v := range list {
		if v.State != StateContracted {
			return Plan{}, &noon.Error{Kind: noon.Conflict, Op: "plan schema change", Subject: versionName(e.c.App, v.Number), Err: fmt.Errorf("it is %s", v.State), Hint: "Contract or withdraw it first."}
		}
		target.From, target.Views = v.Number, v.Plan.Views
	}
	c, err := readCatalog(ctx, conn, e.database, e.maria)
	if err != nil {
		return Plan{}, explain("read the schema", e.database, err)
	}
	p := makePlan(set, c, target)
	if err := p.Refusal(); err != nil {
		return p, err
	}
	return p, e.try(ctx, conn, p)
}

// try carries out the trials of a plan. Temporary tables are this session's
// only, and go with it.
func (e *Engine) try(ctx context.Context, conn *sql.Conn, p Plan) error {
	for _, t := range p.Trials {
		list := []string{"DROP TEMPORARY TABLE IF EXISTS " + scratch}
		if t.Create != "" {
			list = append(list, "CREATE TEMPORARY TABLE "+scratch+" "+t.Create)
		} else {
			list = append(list, fmt.Sprintf("CREATE TEMPORARY TABLE %s LIKE %s", scratch, qualified(e.database, t.Table)))
		}
		for _, clause := range t.Alter {
			list = append(list, fmt.Sprintf("ALTER TABLE %s %s", scratch, clause))
		}
		list = append(list, t.SQL...)
		for _, text := range list {
			if _, err := conn.ExecContext(ctx, text); err != nil {
				wrong := explain("try the plan", p.name(), fmt.Errorf("%w in: %s", err, text))
				if own, ok := errors.AsType[*noon.Error](wrong); ok && (own.Kind == noon.Failure || own.Kind == noon.Invalid) {
					own.Kind, own.Hint = noon.Invalid, "Correct the operation that the statement comes from, or give noon's user what the server says. Nothing was changed."
				}
				return wrong
			}
		}
	}
	return nil
}
