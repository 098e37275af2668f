package archtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/noon-deploy/noon/internal/archtest"
)

// The fixtures are put together at run time: this file is looked at too.
func TestMachineTraces(t *testing.T) {
	t.Parallel()
	bad := map[string]string{
		"1-home":     "see /" + "home/ada/noon for it",
		"2-users":    "x\nDIR=/" + "Users/ada/noon\n",
		"3-root":     "\"/" + "root/go/pkg\"",
		"4-work":     "cd (/" + "work/main)",
		"5-proxy":    "https://proxy." + "golang.org/x",
		"6-npm":      "\"resolved\": \"https://registry." + "npmjs.org/x\"",
		"7-env":      "GOPROXY=" + "https://cache.example",
		"8-company":  "https://art" + "ifactory.example.com/go",
		"9-internal": "http://10." + "1.2.3:8080/",
	}
	expect(t, archtest.MachineTraces(bad), []string{
		"1-home:1 home directory", "2-users:2 home directory", "3-root:1 home directory", "4-work:1 one machine",
		"5-proxy:1 package registry", "6-npm:1 package registry", "7-env:1 package registry", "8-company:1 package registry", "9-internal:1 private network",
	})
	good := map[string]string{
		"a": "https://shop.example.com/home/index.html and /users/7, /var/lib/shop, ~/.config/noon",
		"b": "http://127.0.0.1:8080/, http://192.0.2.1/, docs/w" + "ork/first.md, GOPROXY=off",
	}
	expect(t, archtest.MachineTraces(good), nil)
}

func TestBrokenLinks(t *testing.T) {
	t.Parallel()
	files := map[string]string{
		"README.md": strings.Join([]string{
			"# Read `me` first!",
			"[ok](docs/a.md) [ok](docs/a.md#two-words) [ok](#read-me-first) [dir](docs) [root](/docs/a.md)",
			"[gone](docs/gone.md) and ![pic](docs/pic.svg)",
			"[no heading](docs/a.md#three)",
			"<img src=\"docs/none.png\"> <a href=\"https://example.com/none\">x</a> [mail](mailto:a@example.com)",
			"```",
			"[code](nowhere.md)",
			"```",
			"`[span](nowhere.md)` [ref][r]",
			"[r]: docs/nowhere.md \"title\"",
			"[outside](../elsewhere.md)",
		}, "\n"),
		"docs/a.md": "## Two words\n\n## Two words\n\n<a id=\"here\"></a>\n[up](../README.md) [twice](#two-words-1) [here](#here) [thrice](#two-words-2)\n",
		"notes.txt": "[gone](gone.md)",
	}
	expect(t, archtest.BrokenLinks(files), []string{
		"README.md:3 docs/gone.md, which does not exist",
		"README.md:3 docs/pic.svg, which does not exist",
		"README.md:4 docs/a.md#three, but there is no such heading",
		"README.md:5 docs/none.png",
		"README.md:10 docs/nowhere.md",
		"README.md:11 ../elsewhere.md",
		"docs/a.md:6 #two-words-2, but there is no such heading",
	})
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A checkout is asked of git, an unpacked archive is walked; both leave out
// what was built.
func TestTexts(t *testing.T) {
	t.Parallel()
	for _, checkout := range []bool{true, false} {
		dir := t.TempDir()
		write(t, dir, map[string]string{
			".gitignore": "/bin/\n/.cache/\n", "a.go": "package a\n", "sub/b ü.md": "# b\n",
			"bin/noon": "x", ".cache/y": "y", "image": "a\x00b", "large": strings.Repeat("l", 2<<20),
		})
		if err := os.Symlink("a.go", filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
		if checkout {
			git := exec.CommandContext(t.Context(), "git", "init", "-q")
			git.Dir = dir
			if out, err := git.CombinedOutput(); err != nil {
				t.Fatalf("git init: %v\n%s", err, out)
			}
		}
		got, err := archtest.Texts(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{".gitignore": "/bin/\n/.cache/\n", "a.go": "package a\n", "sub/b ü.md": "# b\n", "image": "", "large": ""}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("checkout %v (-want +got):\n%s", checkout, d)
		}
	}
}

func TestTextsOfABrokenCheckout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, dir, map[string]string{".git": "gitdir: nowhere\n"})
	if _, err := archtest.Texts(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "list the files") {
		t.Errorf("error = %v, want git's", err)
	}
}

func TestUnlicensed(t *testing.T) {
	t.Parallel()
	const (
		mit  = "Permission is hereby granted, free of charge, to any person obtaining\na copy of this software"
		bsd  = "Redistribution and use in source and binary forms\n* Redistributions of source code must retain"
		gpl  = "GNU GENERAL PUBLIC LICENSE Version 3\nEveryone is permitted to copy and distribute"
		mpl  = "Mozilla Public License Version 2.0 ... Secondary License means the GNU General Public License, Version 2.0"
		isc  = "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby granted"
		kept = ", provided that the above copyright notice"
	)
	for _, c := range []struct {
		name  string
		files map[string]string
		want  []string // texts of findings
	}{
		{"mit", map[string]string{"LICENSE": mit}, nil},
		{"bsd", map[string]string{"LICENSE-BSD.txt": bsd + " ... may be used to endorse or promote products", "COPYING": bsd}, nil},
		{"mpl", map[string]string{"LICENSE": mpl}, nil},
		{"isc", map[string]string{"LICENSE": isc + kept, "LICENSE.0BSD": isc}, nil},
		{"apache", map[string]string{"LICENCE.md": "Apache License\n Version 2.0, January 2004"}, nil},
		{"unlicense", map[string]string{"UNLICENSE": "This is free and unencumbered software released into the public domain."}, nil},
		{"CC0-1.0", map[string]string{"LICENSE": "This work is released into the public domain with CC0 1.0."}, nil},
		{"public domain", map[string]string{"LICENSE-X": "X Is Public Domain. All of it has been dedicated to the public domain by the authors."}, nil},
		{"of documents beside the code's", map[string]string{"LICENSE": mit, "LICENSE.docs": "Attribution-ShareAlike", "LICENSE-LOGO": "see elsewhere"}, nil},
		{"of documents alone", map[string]string{"LICENSE.docs": "Attribution-ShareAlike"}, []string{"has no licence file"}},
		{"gpl", map[string]string{"LICENSE": gpl}, []string{"LICENSE is GPL"}},
		{"lgpl", map[string]string{"COPYING": "GNU LESSER GENERAL PUBLIC LICENSE Version 3. Everyone is permitted to copy"}, []string{"COPYING is LGPL"}},
		{"agpl", map[string]string{"COPYING": "GNU AFFERO GENERAL PUBLIC LICENSE Version 3. Everyone is permitted to copy"}, []string{"COPYING is AGPL"}},
		{"two, one not accepted", map[string]string{"LICENSE": mit + "\n" + gpl}, []string{"LICENSE is GPL"}},
		{"own words", map[string]string{"LICENSE": "Do as you like on Tuesdays."}, []string{"LICENSE is unknown"}},
		{"source-available", map[string]string{"LICENSE": "Business Source License 1.1"}, []string{"LICENSE is BUSL"}},
		{"none", map[string]string{"README": "MIT"}, []string{"has no licence file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			write(t, dir, c.files)
			found := archtest.Unlicensed([]archtest.Required{{Path: "example.com/m", Version: "v1.0.0", Dir: dir}}, archtest.Licences())
			var want []string
			for _, text := range c.want {
				want = append(want, "example.com/m@v1.0.0:0 "+text)
			}
			expect(t, found, want)
		})
	}
}

func TestUnlicensedNotFetched(t *testing.T) {
	t.Parallel()
	found := archtest.Unlicensed([]archtest.Required{
		{Path: "example.com/a", Version: "v1.0.0", Error: "not found in the proxy"},
		{Path: "example.com/b", Version: "v1.0.0", Dir: filepath.Join(t.TempDir(), "gone")},
	}, archtest.Licences())
	expect(t, found, []string{"example.com/a@v1.0.0:0 not found in the proxy", "example.com/b@v1.0.0:0 no such file"})
}

func TestModulesOfNoModule(t *testing.T) {
	t.Parallel()
	if _, err := archtest.Modules(t.Context(), t.TempDir()); err == nil || !strings.Contains(err.Error(), "list modules") {
		t.Errorf("error = %v, want one of go", err)
	}
}
