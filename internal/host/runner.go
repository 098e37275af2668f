package host

import (
	"context"
	"time"

	"github.com/noon-deploy/noon"
)

// Runner runs processes that outlive the host part and are found again by the
// next one. Package runnertest holds what every Runner must do.
type Runner struct {
	Lives
	Remains
}

// Lives begins, ends and follows the lives of processes.
type Lives interface {
	// Start makes a process exist. It returns once the order is durable; a
	// second order with the same ID changes nothing. The process is started
	// while Watch runs, and at most once per ID.
	Start(ctx context.Context, s Spec) error
	// Stop asks a process to end. It returns once the order is durable.
	Stop(ctx context.Context, id string, how noon.Stop) error
	// Watch carries the orders out until ctx ends, which leaves the processes
	// running. It reports every process once and then each change; reports of
	// one process are in order, those of several may be concurrent.
	Watch(ctx context.Context, changed func(Status)) error
}

// Remains is what is left of processes that have ended. It has four methods
// because what is left is found, read, released and removed.
type Remains interface {
	// List gives the processes that are not removed, sorted by ID.
	List(ctx context.Context) ([]Status, error)
	// Release frees the port of a process that has ended and forgets its
	// environment; its output stays.
	Release(ctx context.Context, id string) error
	// Remove deletes what is left of a released process.
	Remove(ctx context.Context, id string) error
	// Output gives the lines a process has written. With follow it goes on
	// until the process has ended, else to the present end.
	Output(ctx context.Context, id string, from From, follow bool, emit func(Line) error) error
}

// Spec is one process to run.
type Spec struct {
	ID      string            `json:"id"`     // unique for ever, safe as a file name
	Labels  map[string]string `json:"labels"` // come back in Status
	Command []string          `json:"command"`
	Root    string            `json:"root"` // a relative Command[0] with a slash is inside it
	Dir     string            `json:"dir,omitempty"`
	Env     map[string]string `json:"env"` // the whole environment, but for HOST and PORT
	User    string            `json:"user,omitempty"`
	Limits  noon.Limits       `json:"limits"`
	Port    bool              `json:"port"`              // reserve a port: HOST and PORT are set
	Timeout time.Duration     `json:"timeout,omitempty"` // then it is stopped; 0: none
	Stop    noon.Stop         `json:"stop"`              // how it is stopped at the timeout
}

// Step is how far a process has come.
type Step string

// The steps of a process.
const (
	Ordered Step = "ordered" // not started yet
	Running Step = "running"
	Ending  Step = "ending" // not there any more; how it ended is being found out
	Ended   Step = "ended"  // Exit is set
)

// Status is what a Runner knows of one process.
type Status struct {
	ID       string
	Labels   map[string]string
	Step     Step
	PID      int
	Port     int // 0: none, or not reserved yet
	Ordered  time.Time
	Started  time.Time
	Stopping bool        // Stop was called
	Exit     *noon.Exit  // when Ended
	Problem  *noon.Error // why it could not be started, or is not kept
	Released bool
}

// From is where reading of an output begins: at an offset, or so many lines
// before the end. Negative Lines: everything there is.
type From struct {
	Lines  int
	Offset int64 // used when not zero
}

// Line is one line of output.
type Line struct {
	At   time.Time
	Text string
	Next int64 // From.Offset to go on behind this line
}
