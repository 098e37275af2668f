// Package archtest holds the rules of this code base that a linter can not
// express: which way imports point, how long functions may be, what must be
// documented, what may not be in a file, which licences are accepted. Each
// rule is a function from a [Tree] or from texts to [Finding]s. The tests
// apply every rule to the repository, and to a fixture that breaks it.
package archtest
