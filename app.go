package noon

import "time"

// App is what one noon.yaml describes.
type App struct {
	Name         string        `json:"name"`
	Build        Build         `json:"build"`
	Services     []Service     `json:"services"`            // sorted by name
	Jobs         []Job         `json:"jobs,omitempty"`      // sorted by name
	Stores       []Store       `json:"stores,omitempty"`    // sorted by name
	Variables    []string      `json:"variables,omitempty"` // names a release needs; values come from the environment
	Secrets      []string      `json:"secrets,omitempty"`   // names a release needs; values are never shown
	Hooks        []Hook        `json:"hooks,omitempty"`     // in the order of HookMoments, then of the file
	Smoke        []Smoke       `json:"smoke,omitempty"`     // sent through the preview route before any user is
	Bake         time.Duration `json:"bake,omitempty"`      // how long the switched state must hold
	Keep         int           `json:"keep"`                // releases kept besides those in use, at least 1
	Environments []Environment `json:"environments"`        // in the order of the file
}

// Build says how a clean checkout becomes the files of a release.
type Build struct {
	Command []string      `json:"command,omitempty"` // argv, run in the checkout; empty: the files as they are
	Files   []string      `json:"files,omitempty"`   // globs relative to the checkout, directories whole; empty: everything
	Timeout time.Duration `json:"timeout"`
}

// Service is a long-running process of an app.
type Service struct {
	Name      string            `json:"name"`
	Command   []string          `json:"command"`         // argv; a relative argv[0] with a slash is inside the release
	Dir       string            `json:"dir,omitempty"`   // working directory inside the release, "" its root
	Instances int               `json:"instances"`       // copies in an environment, at least 1
	Paths     []string          `json:"paths,omitempty"` // URL path prefixes it answers; empty: it takes no requests
	Strip     []string          `json:"strip,omitempty"` // those of Paths that instances see requests without
	Protocol  Protocol          `json:"protocol,omitempty"`
	Env       map[string]string `json:"env,omitempty"` // fixed variables that do not depend on the environment
	Ready     Probe             `json:"ready"`
	Stop      Stop              `json:"stop"`
	Drain     time.Duration     `json:"drain"`          // how long in-flight work may go on once nothing new is sent
	User      string            `json:"user,omitempty"` // user name to run as; "" the host part's own
	Limits    Limits            `json:"limits"`
}

// Routed reports whether the proxy sends requests to the service.
func (s Service) Routed() bool { return len(s.Paths) > 0 }

// Probe is how a new instance shows that it is ready. At most one of HTTP,
// TCP and Command is set; none means ready once the process has run for
// Interval without exiting.
type Probe struct {
	HTTP     string        `json:"http,omitempty"` // path; any 2xx answer without redirect is ready
	TCP      bool          `json:"tcp,omitempty"`  // the port accepts a connection
	Command  []string      `json:"command,omitempty"`
	Interval time.Duration `json:"interval"` // between tries
	Timeout  time.Duration `json:"timeout"`  // of the whole wait, and an upper bound of one try
}

// Stop is how an instance is asked to end.
type Stop struct {
	Signal string        `json:"signal"` // "TERM", "INT", "QUIT", "HUP", "USR1", "USR2"
	Grace  time.Duration `json:"grace"`  // from the signal to SIGKILL
}

// Limits bound one instance. Zero means no limit.
type Limits struct {
	Memory    int64   `json:"memory,omitempty"`    // bytes
	CPUs      float64 `json:"cpus,omitempty"`      // cores, 0.5 is half of one
	Processes int     `json:"processes,omitempty"` // processes and threads
	Files     int     `json:"files,omitempty"`     // open files
}

// Job is a command that is run on a schedule.
type Job struct {
	Name     string        `json:"name"`
	Command  []string      `json:"command"`
	Schedule string        `json:"schedule"` // five cron fields, or "@every 10s"
	Zone     string        `json:"zone"`     // IANA time zone of the schedule
	Timeout  time.Duration `json:"timeout"`
}

// Coexistence is how a store serves two releases at once.
type Coexistence string

// The four coexistences.
const (
	Shared    Coexistence = "shared"    // both use the one thing; changes are compatible both ways
	Versioned Coexistence = "versioned" // one body of data, one view per release
	Slotted   Coexistence = "slotted"   // namespaces that alternate per release
	Copied    Coexistence = "copied"    // a second store kept in sync, then cut over
)

// Coexistences lists the four in the order of the documentation.
func Coexistences() []Coexistence { return []Coexistence{Shared, Versioned, Slotted, Copied} }

// Store is anything stateful that two releases meet in. Its changes come with a
// release in one of two ways: as a command of the app, or as files that noon
// applies itself. Files of a shared store are SQL with sections to expand and to
// contract, those of a versioned one declare operations.
type Store struct {
	Name        string      `json:"name"`
	Kind        string      `json:"kind"` // "sqlite", "postgres", "redis", "files", …
	Coexistence Coexistence `json:"coexistence"`
	URL         string      `json:"url,omitempty"`        // name of the variable or secret with the address of the server
	Role        string      `json:"role,omitempty"`       // database role that owns the tables, of a versioned store; "" the one of URL
	Migrate     *Command    `json:"migrate,omitempty"`    // brings the store to what this release needs
	Migrations  string      `json:"migrations,omitempty"` // directory of the release with the files; not besides Migrate
	Lint        Lint        `json:"lint,omitzero"`        // of the migrations
	Compatible  bool        `json:"compatible,omitempty"` // declared: the release before works with the migrated store
	Quiet       bool        `json:"quiet,omitempty"`      // it is migrated while no scheduled job runs
	Changes     []string    `json:"changes,omitempty"`    // files whose content decides whether Migrate has work; empty: always
	Rehearsal   Rehearsing  `json:"rehearsal,omitzero"`   // how its changes are rehearsed
}

// Watched are the files whose content decides whether the store's migrations
// have work; none: always.
func (s Store) Watched() []string {
	if s.Migrations != "" {
		return []string{s.Migrations}
	}
	return s.Changes
}

// Command is something of the app's own that a state requires to have run.
type Command struct {
	Command    []string      `json:"command"`
	Timeout    time.Duration `json:"timeout"`
	Idempotent bool          `json:"idempotent"` // may be run again when a crash left its outcome unknown
}

// HookMoment is when a hook runs.
type HookMoment string

// The moments of hooks.
const (
	BeforeBuild    HookMoment = "before-build"
	AfterBuild     HookMoment = "after-build"
	BeforeDeploy   HookMoment = "before-deploy"
	AfterDeploy    HookMoment = "after-deploy"
	BeforeSwitch   HookMoment = "before-switch"
	AfterSwitch    HookMoment = "after-switch"
	BeforeRollback HookMoment = "before-rollback"
	AfterRollback  HookMoment = "after-rollback"
	OnFailure      HookMoment = "on-failure"
)

// HookMoments lists the moments in the order in which they can happen.
func HookMoments() []HookMoment {
	return []HookMoment{BeforeBuild, AfterBuild, BeforeDeploy, BeforeSwitch, AfterSwitch, AfterDeploy, BeforeRollback, AfterRollback, OnFailure}
}

// Hook is a command of the app that runs at a moment of a deployment. Build
// hooks run in the checkout, all others in the release on a host.
type Hook struct {
	Moment HookMoment `json:"moment"`
	Name   string     `json:"name"` // unique within the moment
	Command
}

// Environment is where releases run: it holds configuration, never code.
type Environment struct {
	Name      string            `json:"name"`
	After     string            `json:"after,omitempty"` // the environment a release must have passed before this one
	Hosts     []string          `json:"hosts"`           // names of hosts, at least one; LocalHost is this machine
	Domains   []string          `json:"domains,omitempty"`
	Traffic   Traffic           `json:"traffic,omitzero"`   // without the content of pages, which is in files
	Pages     map[string]string `json:"pages,omitempty"`    // status as in Traffic.Pages → file of the release
	Segments  []Segment         `json:"segments,omitempty"` // in the order of the file; a deployment says which revision they get
	TLS       *TLS              `json:"tls,omitempty"`      // nil: plain HTTP
	Variables map[string]string `json:"variables,omitempty"`
	Instances map[string]int    `json:"instances,omitempty"` // overrides Service.Instances by service name
	Approval  bool              `json:"approval,omitempty"`  // a person approves before users are switched
	Window    *Window           `json:"window,omitempty"`
	Warm      time.Duration     `json:"warm"` // how long the release before stays up, ready to go back to
}

// LocalHost is the host name of the machine the controller runs on.
const LocalHost = "local"

// Environment returns the environment of that name.
func (a App) Environment(name string) (Environment, bool) {
	for _, e := range a.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return Environment{}, false
}

// Service returns the service of that name.
func (a App) Service(name string) (Service, bool) {
	for _, s := range a.Services {
		if s.Name == name {
			return s, true
		}
	}
	return Service{}, false
}

// HooksAt returns the hooks of one moment in the order of the file.
func (a App) HooksAt(m HookMoment) []Hook {
	var hooks []Hook
	for _, h := range a.Hooks {
		if h.Moment == m {
			hooks = append(hooks, h)
		}
	}
	return hooks
}
