package noon

import "time"

// CopyKind is how a rehearsal comes by its copy of a database.
type CopyKind string

// The kinds of copies.
const (
	CopyDump     CopyKind = "dump"     // what the server's own dump gives, while users write
	CopyTemplate CopyKind = "template" // PostgreSQL's own copy, for which nobody may be connected
	CopyCommand  CopyKind = "command"  // the user's command fills it
)

// CopyKinds lists the three in the order of the documentation.
func CopyKinds() []CopyKind { return []CopyKind{CopyDump, CopyTemplate, CopyCommand} }

// Rehearsing says how changes of a store are rehearsed.
type Rehearsing struct {
	Copy     CopyKind          `json:"copy,omitempty"`    // "": CopyDump
	Command  []string          `json:"command,omitempty"` // of CopyCommand; gets SOURCE_URL and COPY_URL
	At       string            `json:"at,omitempty"`      // name of the variable with the address of the server for copies; "" the one of the store
	Mask     map[string]string `json:"mask,omitempty"`    // "table.column" → SQL expression that takes the place of the value
	Load     string            `json:"load,omitempty"`    // file of the release with SQL that is run meanwhile; "" it is made from the tables
	Rate     int               `json:"rate,omitempty"`    // statements a second of that load; 0: 100
	Required bool              `json:"required,omitempty"`
	MaxAge   time.Duration     `json:"max_age,omitempty"` // of a rehearsal that counts; 0: 24h
}

// RehearsalStatus is what came of a rehearsal.
type RehearsalStatus string

// The statuses of a rehearsal. Only RehearsalGood and RehearsalFailed say
// something about the change.
const (
	RehearsalRunning     RehearsalStatus = "running"
	RehearsalGood        RehearsalStatus = "good"        // the change works on this data
	RehearsalFailed      RehearsalStatus = "failed"      // it does not
	RehearsalStopped     RehearsalStatus = "stopped"     // somebody ended it, or it could not be made
	RehearsalInterrupted RehearsalStatus = "interrupted" // the controller went away
)

// Verdict reports whether the status is one about the change.
func (s RehearsalStatus) Verdict() bool { return s == RehearsalGood || s == RehearsalFailed }

// Rehearsal is one run of what a release brings to a store, on a copy of it.
type Rehearsal struct {
	ID      int64           `json:"id"`
	Site    Site            `json:"site"`
	Store   string          `json:"store"`
	Release int             `json:"release"`
	Digest  string          `json:"digest"` // of the release
	By      string          `json:"by,omitempty"`
	Status  RehearsalStatus `json:"status"`
	Doing   string          `json:"doing,omitempty"` // of one that is running
	Begun   time.Time       `json:"begun"`
	Ended   time.Time       `json:"ended,omitzero"`
	Report  RehearsalReport `json:"report"`
	Problem *Error          `json:"problem,omitempty"` // why it did not end well
}

// RehearsalReport is what was measured on a copy.
type RehearsalReport struct {
	Copy       CopyReport           `json:"copy,omitzero"`
	Phases     []RehearsedPhase     `json:"phases,omitempty"`
	Statements []RehearsedStatement `json:"statements,omitempty"` // those that locked or changed something of the app's
	Tables     []RehearsedTable     `json:"tables,omitempty"`     // those that the change names
	Broken     []string             `json:"broken,omitempty"`     // statements of the release before that fail since a phase
	Load       RehearsedLoad        `json:"load,omitzero"`
	Notes      []string             `json:"notes,omitempty"` // what could not be measured, for people
}

// CopyReport tells how the copy was made.
type CopyReport struct {
	Kind   CopyKind      `json:"kind"`
	Bytes  int64         `json:"bytes"` // of production, as the server tells; 0 if it does not
	Rows   int64         `json:"rows"`  // of the copy's tables, as the server estimates
	Took   time.Duration `json:"took"`
	Masked []string      `json:"masked,omitempty"` // "customers.email"
	Kept   string        `json:"kept,omitempty"`   // name of the copy, if it was kept
}

// RehearsedPhase is one phase of the change.
type RehearsedPhase struct {
	Phase    DataPhase     `json:"phase"`
	Took     time.Duration `json:"took"`
	Expected time.Duration `json:"expected"` // for production: by its size against that of the copy
}

// RehearsedStatement is one statement of the change. One that was run again
// and again, as a batch is, is counted.
type RehearsedStatement struct {
	Phase   DataPhase     `json:"phase"`
	Text    string        `json:"text"`
	Times   int           `json:"times"`
	Took    time.Duration `json:"took"`           // all of them together
	Longest time.Duration `json:"longest"`        // one of them
	Rows    int64         `json:"rows,omitempty"` // that were changed
	Locks   []Locked      `json:"locks,omitempty"`
	Rewrote []string      `json:"rewrote,omitempty"` // tables that have new files
	Error   string        `json:"error,omitempty"`   // the last one, of the server
}

// PerSecond is how many rows a statement changed in a second, 0 if none.
func (s RehearsedStatement) PerSecond() float64 {
	if s.Took <= 0 {
		return 0
	}
	return float64(s.Rows) / s.Took.Seconds()
}

// Locked is a lock that a statement took.
type Locked struct {
	Relation string        `json:"relation"`
	Mode     string        `json:"mode"`             // "AccessExclusiveLock"
	Held     time.Duration `json:"held"`             // at most: from the statement's begin to the end of its transaction
	Waited   time.Duration `json:"waited,omitempty"` // for it, as far as it was seen
}

// RehearsedTable is a table that the change names.
type RehearsedTable struct {
	Name   string `json:"name"`
	Rows   int64  `json:"rows"`            // of the copy, an estimate
	Source int64  `json:"source"`          // of production, an estimate
	Before int64  `json:"before"`          // bytes with indexes
	After  int64  `json:"after"`           // bytes with indexes; 0: it is gone
	Reads  Victim `json:"reads,omitzero"`  // one that reads a row, again and again
	Writes Victim `json:"writes,omitzero"` // one that writes a row, again and again
}

// Victim is one user who does the same again and again while the change runs.
type Victim struct {
	Count  int           `json:"count"`
	P99    time.Duration `json:"p99"`
	Max    time.Duration `json:"max"`
	During string        `json:"during,omitempty"` // what the change did when Max began
}

// RehearsedLoad is what users did meanwhile.
type RehearsedLoad struct {
	Rate   int           `json:"rate"`   // statements a second that were asked for
	Count  int           `json:"count"`  // that were answered
	Failed int           `json:"failed"` // of Count
	P99    time.Duration `json:"p99"`    // from when it was due
	Max    time.Duration `json:"max"`
}
