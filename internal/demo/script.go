package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"syscall"
	"time"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/api"
)

// How a deployment of the script has to end.
const (
	good = "live"
	back = "came back"
)

// moveLimit bounds one deployment with everything that is done to it.
const moveLimit = 5 * time.Minute

// move is one deployment or rollback of the script.
type move struct {
	args []string // of the command line
	from string   // release that is live before, "" none
	to   string   // release that the command asks for
	want string   // good or back
	what string   // for people

	when *moment                               // when disturb is done
	hit  func(context.Context) (string, error) // disturbs it; says what it has done
}

// moment is a line of the journal.
type moment struct {
	kind    noon.EventKind
	subject string
	state   noon.StateKind
}

// String tells the moment as the journal does.
func (m moment) String() string {
	if m.subject == "enter" {
		return fmt.Sprintf("at %q %s", m.kind, m.state.Label())
	}
	return fmt.Sprintf("at %q %s", m.kind, m.subject)
}

func (m *moment) is(d noon.Deployment, e noon.Event) bool {
	return m != nil && e.Kind == m.kind && e.Subject == m.subject && e.State < len(d.Plan.States) && d.Plan.States[e.State].Kind == m.state
}

// script is what happens while customers are there: once the whole of it, then
// rounds of it until the time is over.
func (d *demo) script(ctx context.Context) error {
	for _, act := range d.plot.acts(d) {
		if err := act(ctx); err != nil {
			return err
		}
	}
	rounds := d.rounds()
	for n := 0; time.Since(d.book.opened) < d.opts.For; n++ {
		there, back := d.again(), d.goBack()
		if n%2 == 1 {
			there, back = rounds[n/2%len(rounds)].there, rounds[n/2%len(rounds)].back
		}
		if err := d.deploy(ctx, back); err != nil {
			return err
		}
		if err := d.deploy(ctx, there); err != nil {
			return err
		}
	}
	return nil
}

// round is a way back and there again.
type round struct{ back, there move }

// rounds are those that are played when there is time left, every second one
// after a calm one: each part of noon is killed, and noon upgraded, at every
// moment in turn.
func (d *demo) rounds() []round {
	var list []round
	for _, at := range d.moments() {
		list = append(list, round{d.goBack(), d.killed(d.again(), at)}, round{d.goBack(), d.killedHost(d.again(), at)}, round{d.goBack(), d.upgraded(d.again(), at)})
	}
	at := moment{noon.Intent, "enter", noon.Switched}
	return append(list, round{d.killed(d.goBack(), at), d.again()}, round{d.killedHost(d.goBack(), at), d.again()}, round{d.upgraded(d.goBack(), at), d.again()})
}

// moments are those of a deployment at which noon is disturbed.
func (d *demo) moments() []moment {
	return []moment{
		{noon.Intent, "enter", noon.Staged},
		{noon.Intent, "enter", noon.Switched},
		{noon.Intent, "migrate db", noon.Prepared},
		{noon.Done, "enter", noon.Switched},
		{noon.Intent, "enter", noon.Prepared},
		{noon.Done, "enter", noon.Staged},
	}
}

// killed is a move in whose middle the controller is killed.
func (d *demo) killed(m move, at moment) move {
	m.what, m.when = m.what+", controller killed", &at
	m.hit = func(context.Context) (string, error) {
		pid, err := d.serve.kill()
		if err != nil {
			return "", fmt.Errorf("kill the controller: %w", err)
		}
		d.book.count(&d.book.counts.crashes)
		return fmt.Sprintf("kill -9  the controller, process %d, %s", pid, at), nil
	}
	return m
}

// killedHost is a move in whose middle the host part is killed.
func (d *demo) killedHost(m move, at moment) move {
	m.what, m.when = m.what+", host part killed", &at
	m.hit = func(ctx context.Context) (string, error) {
		h, err := d.healthy(ctx)
		if err != nil {
			return "", err
		}
		pid := h.Identities["host"]
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return "", fmt.Errorf("kill the host part: %w", err)
		}
		d.book.count(&d.book.counts.crashes)
		return fmt.Sprintf("kill -9  the host part, process %d, %s", pid, at), nil
	}
	return m
}

// upgraded is a move in whose middle noon itself is replaced.
func (d *demo) upgraded(m move, at moment) move {
	m.what, m.when = m.what+", noon upgraded", &at
	m.hit = func(ctx context.Context) (string, error) { return d.upgrade(ctx, d.opts.Binary) }
	return m
}

// upgradeToCopy replaces noon by a copy of itself while nothing is deployed.
func (d *demo) upgradeToCopy(ctx context.Context) error {
	start := time.Now()
	path, err := d.copyBinary()
	if err != nil {
		return err
	}
	said, err := d.upgrade(ctx, path)
	if err != nil {
		return err
	}
	d.say.line("%s", said)
	d.book.step(Step{AtMS: d.book.at(start), What: "upgrade noon", Kind: StepUpgrade, MS: millis(time.Since(start)), Outcome: "done", Expected: true})
	return d.served(ctx, d.live)
}

func (d *demo) upgrade(ctx context.Context, binary string) (string, error) {
	before, err := d.healthy(ctx)
	if err != nil {
		return "", err
	}
	d.serve.use(binary)
	if err := d.noon.must(ctx, "", nil, "upgrade", "--binary", binary, "--yes"); err != nil {
		return "", err
	}
	err = await(ctx, "every part to be the new binary", partLimit, func(ctx context.Context) (bool, error) {
		h, err := d.client.Health(ctx)
		return err == nil && h.StartedAt.After(before.StartedAt) && h.Identities["host"] != before.Identities["host"] && h.Identities["host"] != 0 &&
			h.Identities["proxy"] != before.Identities["proxy"] && h.Identities["proxy"] != 0, err
	})
	if err != nil {
		return "", err
	}
	d.book.count(&d.book.counts.upgrades)
	return "upgrade  controller, host part and proxy go on as " + binary, nil
}

// deploy runs a deployment or rollback and looks at what becomes of it.
func (d *demo) deploy(ctx context.Context, m move) error {
	ctx, cancel := context.WithTimeoutCause(ctx, moveLimit, fmt.Errorf("%s: not done within %s", m.what, moveLimit))
	defer cancel()
	last, err := d.newest(ctx)
	if err != nil {
		return err
	}
	if m.want == good {
		d.allow(m.from, m.to)
	}
	var e ended
	commanded := make(chan error, 1)
	following, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		var err error
		e, err = d.noon.run(ctx, "", append(m.args, "--yes", "--json")...)
		if err == nil && e.code != 0 && len(e.stdout) == 0 {
			err = e.failure()
		}
		if err != nil {
			stop() // there is no deployment to follow
		}
		commanded <- err
	}()
	w := &watch{demo: d, move: m}
	view, ferr := d.follow(following, last, func(dep noon.Deployment, ev noon.Event) { w.see(ctx, dep, ev) })
	werr := w.wait()
	if err := <-commanded; err != nil {
		return err
	}
	if ferr != nil {
		return ferr
	}
	if werr != nil {
		return werr
	}
	return d.conclude(ctx, m, e, view, w)
}

// conclude compares how a deployment ended with how it has to.
func (d *demo) conclude(ctx context.Context, m move, e ended, v api.DeploymentView, w *watch) error {
	live := m.to
	if !v.Status.Good() {
		live = m.from
	}
	d.allow(live)
	d.live = live
	d.book.live(live)
	if err := d.served(ctx, live); err != nil {
		return err
	}
	problem := d.judge(ctx, m, e, v, w, live)
	s := Step{
		AtMS: d.book.at(e.started), What: m.what, Kind: StepDeploy, Release: m.to, MS: millis(e.finished.Sub(e.started)),
		Disturbed: w.done, Outcome: string(v.Status), Expected: problem == "",
	}
	if v.Error != nil {
		s.Reason = firstLine(v.Error.Error())
	}
	if v.Plan.Kind == noon.PlanRollback {
		s.Kind = StepRollback
		d.book.count(&d.book.counts.rollbacks)
		d.leftBehind(&s, m, e)
	} else {
		d.book.count(&d.book.counts.deploys)
	}
	d.book.step(s)
	if m.when == nil && m.want == good && m.from != "" && s.Kind == StepDeploy {
		d.book.undisturbed(v)
	}
	d.say.line("%s", s.line())
	if problem != "" {
		d.book.unexpected("%s: %s", m.what, problem)
		d.say.line("         NOT as expected: %s", problem)
	}
	return nil
}

// judge tells what of a deployment was not as it has to be, "" nothing.
func (d *demo) judge(ctx context.Context, m move, e ended, v api.DeploymentView, w *watch, live string) string {
	wantCode, wantStatus := 0, v.Status.Good()
	if m.want == back {
		wantCode, wantStatus = 1, v.Status == noon.Returned
	}
	var said api.DeploymentView
	sites, err := d.client.Status(ctx, d.site.App)
	switch {
	case !wantStatus:
		return fmt.Sprintf("%s ended as %s instead of %s: %v", v.Name(), v.Status, m.want, v.Error)
	case e.code != wantCode:
		return fmt.Sprintf("exit code %d instead of %d: %s", e.code, wantCode, firstLine(e.stderr))
	case json.Unmarshal(e.stdout, &said) != nil || said.ID != v.ID || said.Status != v.Status:
		return fmt.Sprintf("the command told of %s %s instead of %s %s", said.Name(), said.Status, v.Name(), v.Status)
	case m.when != nil && w.done == "":
		return "it was never at the moment at which it was to be disturbed"
	case err != nil:
		return "status: " + err.Error()
	case len(sites) != 1 || releaseOf(sites[0].Live) != live:
		return fmt.Sprintf("live is %+v instead of %s", sites, live)
	}
	return ""
}

// leftBehind measures a rollback: from the command to the last answer of the
// release that was left. One in which a part of noon was killed tells how long
// that part takes to start.
func (d *demo) leftBehind(s *Step, m move, e ended) {
	took := max(d.customers.Result().LastAnswer[m.from].Sub(e.started), 0)
	s.LastAnswerMS = millis(took)
	if m.when != nil {
		return
	}
	d.book.mu.Lock()
	defer d.book.mu.Unlock()
	d.book.rollbacks = append(d.book.rollbacks, took)
}

// allow tells the customers which releases may answer them from now on.
func (d *demo) allow(releases ...string) {
	if d.customers != nil {
		d.customers.SetAllowed(releases...)
	}
}
