package load

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// maxFailures is how many failures are kept in words.
const maxFailures = 20

// Result is the account of a run.
type Result struct {
	Journeys           int64                `json:"journeys"`
	Requests           int64                `json:"requests"` // sent, stream openings included
	Failed             int64                `json:"failed"`
	WrongRelease       int64                `json:"wrong_release"`
	OrdersAcknowledged int64                `json:"orders_acknowledged"`
	StreamsOpened      int64                `json:"streams_opened"`
	StreamsMoved       int64                `json:"streams_moved"` // ended in good order and taken up again
	StreamsCut         int64                `json:"streams_cut"`
	UploadsSent        int64                `json:"uploads_sent"` // acknowledged
	UploadsLost        int64                `json:"uploads_lost"` // known after Verify
	Latency            Latency              `json:"latency"`
	Failures           []Failure            `json:"failures,omitempty"` // the first ones
	PerRelease         map[string]int64     `json:"per_release"`        // answers by release
	LastAnswer         map[string]time.Time `json:"last_answer"`        // when a release last ended an answer
}

// Failure is one thing that went wrong, in words.
type Failure struct {
	At      time.Time `json:"at"`
	What    string    `json:"what"`
	Release string    `json:"release,omitempty"` // who answered, if anybody did
	Err     string    `json:"err"`
}

// String gives one line for people.
func (f Failure) String() string {
	by := ""
	if f.Release != "" {
		by = " (" + f.Release + ")"
	}
	return fmt.Sprintf("%s %s%s: %s", f.At.Format("15:04:05.000"), f.What, by, f.Err)
}

// order is what the shop owes for one acknowledged order.
type order struct {
	id     int64
	name   string
	email  string
	total  int64 // cents
	pieces int64
	sent   int64 // how often the client sent the purchase
}

// String gives the order as the customer knows it.
func (o order) String() string {
	return fmt.Sprintf("order %d of %s, %s: %d pieces for %d cents", o.id, o.name, o.email, o.pieces, o.total)
}

// book is written by all customers.
type book struct {
	mu      sync.Mutex
	r       Result
	spread  histogram
	allowed []map[string]bool // history; nil: every release
	orders  map[string]order  // acknowledged, by key
	uploads map[string]bool   // acknowledged, by sha256
}

func newBook() *book {
	return &book{
		r:       Result{PerRelease: map[string]int64{}, LastAnswer: map[string]time.Time{}},
		allowed: []map[string]bool{nil},
		orders:  map[string]order{},
		uploads: map[string]bool{},
	}
}

func (b *book) setAllowed(releases []string) {
	set := map[string]bool{}
	for _, r := range releases {
		set[r] = true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.allowed = append(b.allowed, set)
}

// begun is a request under way.
type begun struct {
	what  string
	at    time.Time
	rules int // index of the allowed releases that were in force
}

func (b *book) begin(what string) begun {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r.Requests++
	return begun{what: what, at: time.Now(), rules: len(b.allowed) - 1}
}

// end writes down how a request ended: with an answer of a release, or with
// an error, or with both if the answer was not as it should be.
func (b *book) end(q begun, header http.Header, err error) {
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	release := ""
	if header != nil {
		b.spread.add(now.Sub(q.at))
		var wrong error
		release, wrong = b.judge(q, header)
		if wrong != nil {
			b.r.WrongRelease++
			b.note(q.what, release, wrong)
		}
	}
	if release != "" {
		b.r.PerRelease[release]++
		b.r.LastAnswer[release] = now
	} else if err == nil {
		err = errors.New("the answer names no release")
	}
	if err != nil {
		b.r.Failed++
		b.note(q.what, release, err)
	}
}

// judge tells which release answered and whether it was one that might.
func (b *book) judge(q begun, header http.Header) (string, error) {
	routed, _, _ := strings.Cut(header.Get("Noon-Release"), ".") // "r2.c1": the configuration does not matter
	own, _, _ := strings.Cut(header.Get("Shop-Release"), ".")
	release := own
	if release == "" {
		release = routed
	}
	if release == "" {
		return "", nil
	}
	if routed != "" && routed != release {
		return release, fmt.Errorf("the proxy says that %s answered", routed)
	}
	for _, set := range b.allowed[q.rules:] {
		if set == nil || set[release] {
			return release, nil
		}
	}
	return release, fmt.Errorf("answered by %s, allowed is %s", release,
		strings.Join(slices.Sorted(maps.Keys(b.allowed[len(b.allowed)-1])), ", "))
}

// fail counts a failure that is not the answer to one request.
func (b *book) fail(what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r.Failed++
	b.note(what, "", err)
}

func (b *book) note(what, release string, err error) {
	if len(b.r.Failures) < maxFailures {
		b.r.Failures = append(b.r.Failures, Failure{At: time.Now(), What: what, Release: release, Err: err.Error()})
	}
}

func (b *book) refused() {
	b.fail("journey", fmt.Errorf("not begun: %d customers are waiting already", maxJourneys))
}

func (b *book) count(field func(*Result) *int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*field(&b.r)++
}

func (b *book) ordered(key string, o order) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.orders[key] = o
	b.r.OrdersAcknowledged = int64(len(b.orders))
}

func (b *book) uploaded(sha string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.uploads[sha] = true
	b.r.UploadsSent = int64(len(b.uploads))
}

// cut counts a stream that ended although nobody wanted it to.
func (b *book) cut(what string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.r.StreamsCut++
	b.note(what, "", fmt.Errorf("stream cut: %w", err))
}

func (b *book) result() Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.r
	r.Latency = b.spread.latency()
	r.Failures = slices.Clone(r.Failures)
	r.PerRelease = maps.Clone(r.PerRelease)
	r.LastAnswer = maps.Clone(r.LastAnswer)
	return r
}
