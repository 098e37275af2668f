package lint

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// SARIF writes findings as a log of SARIF 2.1.0 (docs.oasis-open.org/sarif/sarif/v2.1.0).
func SARIF(findings []Finding, version string) ([]byte, error) {
	driver := sarifDriver{Name: "noon", Version: version, Rules: []sarifRule{}}
	results := []sarifResult{}
	for _, f := range findings {
		at := slices.IndexFunc(driver.Rules, func(r sarifRule) bool { return r.ID == f.Rule })
		if at < 0 {
			r := ruleOf(f.Rule)
			at = len(driver.Rules)
			driver.Rules = append(driver.Rules, sarifRule{
				ID: r.ID, Short: sarifText{"A statement that " + r.Title}, Full: sarifText{"What happens: " + r.Why + "."},
				Help: sarifText{r.Advice}, Default: sarifConfiguration{string(r.Severity)},
			})
		}
		result := sarifResult{Rule: f.Rule, Index: at, Level: string(f.Severity), Message: sarifText{f.Message()}}
		if f.File != "" {
			region := sarifRegion{Line: f.Line, End: f.Line + strings.Count(f.Statement, "\n")}
			result.Locations = []sarifLocation{{sarifPhysical{sarifArtifact{sarifPath(f.File)}, region}}}
		}
		if f.Accepted != "" {
			result.Suppressions = []sarifSuppression{{"inSource", f.Accepted}}
		}
		results = append(results, result)
	}
	log := sarifLog{
		Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0",
		Runs: []sarifRun{{Tool: sarifTool{driver}, Results: results}},
	}
	out, err := json.MarshalIndent(log, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write SARIF: %w", err)
	}
	return append(out, '\n'), nil
}

// sarifPath is a file as a relative URI.
func sarifPath(file string) string {
	return strings.NewReplacer("%", "%25", " ", "%20", "\\", "/", "#", "%23", "?", "%3F").Replace(file)
}

type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool    sarifTool     `json:"tool"`
	Results []sarifResult `json:"results"`
}

type sarifTool struct {
	Driver sarifDriver `json:"driver"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version,omitempty"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID      string             `json:"id"`
	Short   sarifText          `json:"shortDescription"`
	Full    sarifText          `json:"fullDescription"`
	Help    sarifText          `json:"help"`
	Default sarifConfiguration `json:"defaultConfiguration"`
}

type sarifConfiguration struct {
	Level string `json:"level"`
}

type sarifResult struct {
	Rule         string             `json:"ruleId"`
	Index        int                `json:"ruleIndex"`
	Level        string             `json:"level"`
	Message      sarifText          `json:"message"`
	Locations    []sarifLocation    `json:"locations,omitempty"`
	Suppressions []sarifSuppression `json:"suppressions,omitempty"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact sarifArtifact `json:"artifactLocation"`
	Region   sarifRegion   `json:"region"`
}

type sarifArtifact struct {
	URI string `json:"uri"`
}

type sarifRegion struct {
	Line int `json:"startLine"`
	End  int `json:"endLine"`
}

type sarifSuppression struct {
	Kind          string `json:"kind"`
	Justification string `json:"justification"`
}
