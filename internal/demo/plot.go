package demo

import (
	"context"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/examples/shop/releases"
	"github.com/noon-deploy/noon/internal/load"
)

// plot is which shop is played, and what happens to its releases.
type plot struct {
	shop      releases.Shop
	low, high string // releases between which it goes to and fro while there is time left
	acts      func(*demo) []act
}

// act is a part of the script.
type act func(context.Context) error

// plotOf is the shop whose data are in an SQLite file, or, with the address of
// a database, the one whose releases change the tables there.
func plotOf(database string) plot {
	if database != "" {
		return plot{releases.Postgres, "r5", "r6", (*demo).changes}
	}
	return plot{releases.SQLite, "r1", "r2", (*demo).mishaps}
}

// mishaps are releases that are broken, and noon that is killed and upgraded.
func (d *demo) mishaps() []act {
	return []act{
		d.run(d.again()),
		d.run(d.goBack()),
		d.run(d.again()),
		d.run(move{args: []string{"deploy", "r3"}, from: "r2", to: "r3", want: back, what: "try r3, which is never ready"}),
		d.run(move{args: []string{"deploy", "r4"}, from: "r2", to: "r4", want: back, what: "try r4, whose checkout is broken"}),
		d.run(d.goBack()),
		d.run(d.killed(d.again(), moment{noon.Intent, "enter", noon.Staged})),
		d.run(d.goBack()),
		d.run(d.killedHost(d.again(), moment{noon.Done, "enter", noon.Staged})),
		d.upgradeToCopy,
		d.run(d.goBack()),
		d.run(d.upgraded(d.again(), moment{noon.Intent, "enter", noon.Staged})),
	}
}

// changes are releases that each know the tables by names and types which the
// one before has never heard of; the controller is killed while the tables
// change.
func (d *demo) changes() []act {
	changing := moment{noon.Intent, "expand db", noon.Prepared}
	return []act{
		d.run(forth("r1", "r2", "r2, which renames a column")),
		d.run(ago("r2", "r1")),
		d.run(forth("r1", "r2", "r2 again")),
		d.run(d.killed(forth("r2", "r3", "r3, which changes a type"), changing)),
		d.run(ago("r3", "r2")),
		d.run(d.killedHost(forth("r2", "r3", "r3 again"), moment{noon.Done, "enter", noon.Staged})),
		d.run(forth("r3", "r4", "r4, which splits a column")),
		d.upgradeToCopy,
		d.run(d.killed(forth("r4", "r5", "r5, which adds a table"), changing)),
		d.run(d.upgraded(forth("r5", "r6", "r6, which moves a column"), moment{noon.Intent, "enter", noon.Staged})),
		d.run(ago("r6", "r5")),
		d.run(forth("r5", "r6", "r6 again")),
	}
}

func (d *demo) run(m move) act {
	return func(ctx context.Context) error { return d.deploy(ctx, m) }
}

// forth is a deployment.
func forth(from, to, what string) move {
	return move{args: []string{"deploy", to}, from: from, to: to, want: good, what: "deploy " + what}
}

// ago is a rollback.
func ago(from, to string) move {
	return move{args: []string{"rollback"}, from: from, to: to, want: good, what: "rollback to " + to}
}

// again is the deployment that everything is tried on.
func (d *demo) again() move { return forth(d.plot.low, d.plot.high, d.plot.high) }

// goBack takes it back.
func (d *demo) goBack() move { return ago(d.plot.high, d.plot.low) }

// stored is what is stored of the shop's orders.
func (d *demo) stored() load.Orders {
	if d.opts.Database != "" {
		return load.OrdersOverHTTP(d.place.base(), "", d.owner)
	}
	return load.OrdersInFile(d.place.shopFile())
}
