package noon

// Evidence is what is known about a contact, from best to worst.
type Evidence string

// The kinds of evidence.
const (
	Proven   Evidence = "proven"   // exercised, and it held
	Declared Evidence = "declared" // the manifest says so
	Unproven Evidence = "unproven" // nobody has looked
	Broken   Evidence = "broken"   // exercised, and it failed
)

// Contact is a pair that may meet in a state.
type Contact struct {
	A        string   `json:"a"`       // "r1"
	B        string   `json:"b"`       // "db as r2 has it", "r2"
	Through  string   `json:"through"` // store or channel they meet in
	Evidence Evidence `json:"evidence"`
	Because  string   `json:"because"` // where the evidence is from, for people
}
