// Package grammar has SQL read by another process. PostgreSQL's own grammar
// takes one to three seconds and about 265 MB when it is first used, and keeps
// the memory: too much for a controller that runs for months and reads SQL only
// when a plan is made. So a [Child] is started for each reading, is given all
// that it needs as JSON on its standard input, answers on its standard output,
// and is gone. It gets no address, no secret and nothing of the environment.
package grammar
