package noon

// DataPhase is how far the changes of a store have been taken.
type DataPhase string

// The phases of the data of a deployment.
const (
	// DataAdmitted lets the new release connect and see what the release before
	// sees: its hooks run before anything is changed.
	DataAdmitted DataPhase = "admit"
	// DataBoth serves the release before and the new one, which see each
	// other's writes.
	DataBoth DataPhase = "expand"
	// DataAlone serves one release: what it brought is complete, what only
	// another release needed is gone.
	DataAlone DataPhase = "contract"
)

// Data is a phase that a state needs a store to be in. It is level-triggered:
// where the store is there already, nothing is done.
type Data struct {
	Store    string    `json:"store"`
	Phase    DataPhase `json:"phase"`
	Revision Revision  `json:"revision"` // the only one of DataAlone, else the new one
}

// Name is how people call it: "expand db".
func (d Data) Name() string { return string(d.Phase) + " " + d.Store }

// DataTask is a Data of one deployment of a site.
type DataTask struct {
	Data
	Site  Site
	Epoch int64    // of the controller that asks; who has seen a newer one refuses
	Lossy bool     // a person has accepted that something is lost
	Left  Revision // the other revision of the deployment, zero if there is none
}

// Brought is one migration that a release has and the release before it has
// not.
type Brought struct {
	Name      string   `json:"name"`            // "0005_split_name"
	Contracts bool     `json:"contracts"`       // it removes something once the release before is gone
	Loses     []string `json:"loses,omitempty"` // what can not be had back after that, for people
}
