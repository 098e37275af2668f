package archtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Licences lists what noon's modules may be under: licences that let anybody
// use, change and pass on a binary that contains them. MPL-2.0 asks for no
// more than that changes to its own files stay open.
func Licences() []string {
	return []string{"Apache-2.0", "MIT", "BSD-2-Clause", "BSD-3-Clause", "ISC", "0BSD", "PostgreSQL", "Unlicense", "CC0-1.0", "public domain", "MPL-2.0"}
}

// Required is one module of a go.mod in the module cache.
type Required struct {
	Path, Version, Dir, Error string
}

// Modules lists the modules that the go.mod in dir requires, fetched.
func Modules(ctx context.Context, dir string) ([]Required, error) {
	cmd := exec.CommandContext(ctx, "go", "mod", "download", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list modules: %w%s", err, stderr(err))
	}
	var all []Required
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var m Required
		if err := dec.Decode(&m); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, fmt.Errorf("list modules: %w", err)
		}
		all = append(all, m)
	}
}

// Unlicensed finds modules without a licence file, or with one that is not
// among the allowed.
func Unlicensed(modules []Required, allowed []string) []Finding {
	var found []Finding
	for _, m := range modules {
		name := m.Path + "@" + m.Version
		files, err := licenceFiles(m)
		if err != nil {
			found = append(found, Finding{Path: name, Text: err.Error()})
			continue
		}
		if len(files) == 0 {
			found = append(found, Finding{Path: name, Text: "has no licence file"})
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				found = append(found, Finding{Path: name, Text: err.Error()})
				continue
			}
			for _, l := range identify(string(data)) {
				if !slices.Contains(allowed, l) {
					found = append(found, Finding{Path: name, Text: filepath.Base(file) + " is " + l + ", which is not in the list of accepted licences"})
				}
			}
		}
	}
	return found
}

func licenceFiles(m Required) ([]string, error) {
	if m.Error != "" {
		return nil, errors.New(m.Error)
	}
	entries, err := os.ReadDir(m.Dir)
	if err != nil {
		return nil, err
	}
	named := regexp.MustCompile(`(?i)^(licen[cs]e|copying|unlicense)([.-].*)?$`)
	notCode := regexp.MustCompile(`(?i)[.-](docs|logo)$`) // of texts and pictures, which no binary contains
	var files []string
	for _, e := range entries {
		if named.MatchString(e.Name()) && !notCode.MatchString(e.Name()) && e.Type().IsRegular() {
			files = append(files, filepath.Join(m.Dir, e.Name()))
		}
	}
	return files, nil
}

// identify names every licence whose text is in a file, "unknown" if there is
// none.
func identify(text string) []string {
	text = strings.ToLower(strings.Join(strings.Fields(text), " "))
	has := func(phrases ...string) bool {
		return !slices.ContainsFunc(phrases, func(p string) bool { return !strings.Contains(text, p) })
	}
	bsd := has("redistribution and use in source and binary forms", "redistributions of source code must retain")
	third := has("may be used to endorse or promote products") || has("may not be used to endorse")
	var names []string
	for _, l := range []struct {
		name string
		is   bool
	}{
		{"AGPL", has("gnu affero general public license", "everyone is permitted to copy")},
		{"LGPL", has("gnu lesser general public license", "everyone is permitted to copy")},
		{"GPL", has("gnu general public license", "everyone is permitted to copy") && !has("gnu lesser general public license version") && !has("gnu affero general public license")},
		{"BUSL", has("business source license")},
		{"SSPL", has("server side public license")},
		{"Apache-2.0", has("apache license", "version 2.0")},
		{"MPL-2.0", has("mozilla public license version 2.0") || has("mozilla public license, version 2.0")},
		{"MIT", has("permission is hereby granted, free of charge, to any person obtaining a copy")},
		{"PostgreSQL", has("permission to use, copy, modify, and distribute this software and its documentation for any purpose, without fee, and without a written agreement is hereby granted")},
		{"ISC", has("permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted", "provided that the above copyright notice") || has("permission to use, copy, modify, and distribute this software for any purpose with or without fee is hereby granted", "provided that the above copyright notice")},
		{"0BSD", has("permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted") && !has("provided that the above copyright notice")},
		{"BSD-3-Clause", bsd && third},
		{"BSD-2-Clause", bsd && !third},
		{"CC0-1.0", has("released into the public domain with cc0 1.0") || has("cc0 1.0 universal", "affirmer")},
		{"public domain", has("is public domain", "dedicated to the public domain by the authors")},
		{"Unlicense", has("this is free and unencumbered software released into the public domain")},
	} {
		if l.is {
			names = append(names, l.name)
		}
	}
	if len(names) == 0 {
		return []string{"unknown"}
	}
	return names
}
