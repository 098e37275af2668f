// Package realapps takes applications that others have written from one of
// their releases to the next, with the built noon, while users go through
// them. What a team that runs such an app would have in its repository is in
// examples/realapps. Everything here is a test, and only the apps that
// NOON_REALAPPS names are run: their releases come over the network.
package realapps
