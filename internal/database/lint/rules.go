package lint

import "slices"

// Rules are all rules, in the order of the reference.
func Rules() []Rule {
	return slices.Concat(columnRules(), constraintRules(), indexRules(), tableRules(), otherRules())
}

func columnRules() []Rule {
	return []Rule{
		{"add-column-volatile-default", Error, false, "adds a column whose default differs from row to row", "every row is written anew while nobody can read or write the table", "Add the column without a default, set the default, and fill the old rows in batches.", true},
		{"add-column-serial", Error, false, "adds a serial or identity column", "every row is written anew to number it while nobody can read or write the table", "Add a plain column, give it a sequence as its default, and fill the old rows in batches.", false},
		{"add-column-generated", Error, false, "adds a stored generated column", "every row is written anew while nobody can read or write the table", "Add a plain column, keep it by a trigger, and fill the old rows in batches.", false},
		{"add-column-required", Error, true, "adds a column that must not be null and has no default", "it fails where the table has rows, and the release before does not fill it", "Add the column without NOT NULL, fill it, then SET NOT NULL proven by a check.", false},
		{"add-column-domain", Error, false, "adds a column whose type is a domain with constraints", "every row is written anew while nobody can read or write the table", "Take the base type, and add a CHECK to the table NOT VALID.", false},
		{"add-column-check", Warning, false, "adds a column with a check", "the table is read from beginning to end while nobody can read or write it", "Add the column alone, then the check NOT VALID, then VALIDATE it in another transaction.", true},
		{"add-column-unique", Error, false, "adds a column that is unique or the primary key", "an index is built while nobody can read or write the table", "Add the column alone, build the index CONCURRENTLY, then add the constraint USING INDEX.", true},
		{"add-column-references", Warning, true, "adds a column with a foreign key", "it locks the referenced table as well, and holds up whoever writes it", "Add the column alone, then the foreign key NOT VALID, then VALIDATE it in another transaction.", true},
		{"json-column", Note, true, "adds a column of type json", "json has no equality: SELECT DISTINCT and GROUP BY over it fail", "Take jsonb.", false},
		{"drop-column", Error, true, "drops a column", "a release that still reads or writes it fails, and the data are gone", "Drop it in the section `-- noon: contract`, when no release uses it.", false},
		{"rename-column", Error, true, "renames a column", "the release before still uses the old name and fails", "Use a `versioned` change, or add a column with the new name, keep both equal, and drop the old one later.", false},
		{"change-type-rewrite", Error, false, "changes the type of a column so that values must be converted", "every row is written anew and its indexes are built again while nobody can read or write the table", "Use a `versioned` change, or add a column of the new type, keep both equal by a trigger, and fill it in batches.", false},
		{"change-type-breaks", Warning, true, "changes the type of a column to another kind of value", "the release before may not understand the new type, or write values that it does not take", "Use a `versioned` change, in which each release sees its own type.", false},
		{"change-type-used", Error, true, "changes the type of a column that something else is made of", "it fails: views, rules, policies, triggers and generated columns keep a column's type", "Drop and create what uses it in the same transaction, or use a `versioned` change.", false},
		{"set-not-null", Warning, false, "sets a column NOT NULL", "the table is read from beginning to end while nobody can read or write it, and it fails if there is a null", "Add a CHECK (… IS NOT NULL) NOT VALID, VALIDATE it in another transaction, then SET NOT NULL, which the check proves, and drop the check.", true},
		{"drop-not-null", Note, true, "lets a column be null", "code of the release before may not expect a null", "Let the new release write nulls only when the old one has gone.", false},
		{"set-default", Note, true, "changes the default of a column", "rows that the release before inserts get the new value too", "See that both releases understand the new value.", false},
	}
}

func constraintRules() []Rule {
	return []Rule{
		{"add-check", Warning, false, "adds a check and proves it at once", "the table is read from beginning to end while nobody can read or write it", "Add it NOT VALID, then VALIDATE it in another transaction, which blocks nobody.", true},
		{"add-foreign-key", Error, false, "adds a foreign key and proves it at once", "nobody can write either table until all rows are looked up", "Add it NOT VALID, then VALIDATE it in another transaction, which blocks nobody.", true},
		{"add-foreign-key-lock", Note, false, "adds a foreign key NOT VALID", "for a moment nobody can write either table", "Let a lock_timeout bound how long it waits for both.", false},
		{"validate-with-lock", Error, false, "validates in the transaction that holds a stronger lock", "the lock of the statement before is kept until all rows are read", "Validate in a transaction of its own: another section.", true},
		{"drop-foreign-key", Warning, false, "drops a foreign key, or a table or column that has one", "it locks the referenced table as well, against reads and writes", "Let a lock_timeout bound how long it waits, and drop nothing else in the same transaction.", false},
		{"add-unique", Error, false, "adds a unique or primary key", "an index is built while nobody can read or write the table", "Build the unique index CONCURRENTLY, then add the constraint USING INDEX.", true},
		{"primary-key-nullable", Warning, false, "makes a primary key of columns that may be null", "the table is read from beginning to end while nobody can read or write it", "SET NOT NULL, proven by a check, before.", false},
		{"add-exclude", Error, false, "adds an exclusion constraint", "an index is built while nobody can read or write the table, and there is no way to do it beside users", "Make a new table with it and move over, or take a quiet moment.", false},
		{"domain-constraint", Error, false, "adds a constraint to a domain that columns have, or proves one", "nobody can write any table that uses the domain until all of them are read", "Put a CHECK on the tables instead, NOT VALID, and VALIDATE it.", false},
	}
}

func indexRules() []Rule {
	return []Rule{
		{"create-index", Error, false, "builds an index", "nobody can write the table until it is built", "Build it CONCURRENTLY, outside of a transaction.", true},
		{"drop-index", Warning, false, "drops an index", "it locks the table against reads and writes", "Drop it CONCURRENTLY, outside of a transaction.", true},
		{"reindex", Error, false, "builds an index again", "nobody can write the table, or use the index to read it, until it is built", "REINDEX CONCURRENTLY, outside of a transaction.", true},
		{"concurrently-in-transaction", Error, true, "works CONCURRENTLY inside of a transaction", "the server refuses it", "Put it into a section of its own with `-- noon: no-transaction`.", true},
		{"concurrently-again", Note, true, "builds an index CONCURRENTLY without IF NOT EXISTS", "when it fails an invalid index stays, and running it again fails on the name", "noon looks and cleans up by itself; other runners have to drop the invalid index before they run it again.", false},
		{"wide-index", Note, true, "builds an index over more than three columns that is not unique", "it is seldom used beyond its first columns and makes every write dearer", "See with EXPLAIN which columns are needed.", false},
		{"concurrently-corrupts", Error, true, "builds an index CONCURRENTLY on PostgreSQL 14.0 to 14.3", "these versions may leave rows out of the index", "Update the server first (14.4 mends it).", false},
	}
}

func tableRules() []Rule {
	return []Rule{
		{"drop-table", Error, true, "drops a table or a view", "a release that still uses it fails, and the data are gone", "Drop it in the section `-- noon: contract`, when no release uses it, and keep a backup.", false},
		{"drop-schema", Error, true, "drops a schema, a database or a type with what is in it or made of it", "everything in it is gone at once", "Drop what is in it one by one, in the section `-- noon: contract`.", false},
		{"rename-table", Error, true, "renames a table or view, or moves it to another schema", "the release before still uses the old name and fails", "Use a `versioned` change, or leave a view with the old name in the same transaction.", false},
		{"rewrite-table", Error, false, "writes a table anew", "nobody can read or write it until it is done", "Use pg_repack, which does it beside users, or wait for a quiet moment.", false},
		{"truncate", Error, true, "empties a table", "the data are gone, and it locks the table, with CASCADE also every table that references it, against reads and writes", "Delete in batches.", false},
		{"attach-partition", Warning, false, "attaches a partition without a check that proves its bounds", "the new partition is read from beginning to end while nobody can read or write it", "Add a CHECK that says the bounds to the partition NOT VALID, VALIDATE it, then attach.", false},
		{"create-partition", Warning, false, "creates a table as a partition", "it locks the partitioned table against reads and writes", "Create the table alone, then ATTACH it, which blocks nobody.", false},
		{"detach-partition", Error, false, "detaches a partition", "it locks the partitioned table and the partition against reads and writes", "DETACH … CONCURRENTLY, outside of a transaction (PostgreSQL 14 and newer); it leaves a check on the partition, which may be dropped.", false},
		{"create-trigger", Note, false, "creates or changes a trigger", "for a moment nobody can write the table", "Let a lock_timeout bound how long it waits.", false},
		{"brief-lock", Note, false, "changes a setting of a table under its strongest lock", "for a moment nobody can read or write the table; behind a long query it is as long as that", "Let a lock_timeout bound how long it waits.", false},
		{"refresh-view", Error, false, "refreshes a materialized view", "nobody can read it until it is done", "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index.", true},
		{"lock-table", Warning, false, "locks a table", "others wait until the transaction ends", "Say why it is needed, and keep the transaction short.", false},
		{"change-many-rows", Error, false, "changes many rows in one statement", "their rows stay locked until it commits, and all old versions stay in the table", "Do it in batches: `-- noon: data over TABLE.KEY in 1000`.", true},
		{"replace-view", Note, true, "replaces a view", "it locks the view against readers for a moment, and the release before sees what the new query gives", "Add columns at its end only.", false},
	}
}

func otherRules() []Rule {
	return []Rule{
		{"enum-rename", Error, true, "renames a value of an enum", "the release before still writes and expects the old value, and fails", "Add the new value, write both, and stop using the old one.", false},
		{"enum-order", Note, true, "adds a value to an enum without saying where", "it sorts last, and a release that does not know it may meet it", "Say BEFORE or AFTER, and let the new release write it only when the old one has gone.", false},
		{"enum-in-transaction", Error, true, "uses a value of an enum in the transaction that adds it", "the server refuses it", "Use it in another section.", false},
		{"opaque", Warning, true, "runs code that can not be looked into", "what it locks and changes is not known", "Write it as plain statements, or rehearse it.", false},
		{"unreadable", Error, true, "is not SQL as PostgreSQL 17 reads it", "it fails, or the server is newer and knows it; nothing of its file is looked at", "Correct it. What only a newer server reads has to be rehearsed.", false},
		{"no-lock-timeout", Warning, true, "takes a strong lock without a lock_timeout", "behind one long query it waits, and everybody after it waits behind it", "SET LOCAL lock_timeout = '200ms' first, and try again; noon does both for files with its directives.", false},
		{"nested-transaction", Warning, true, "begins or ends a transaction inside of the runner's", "what the runner thinks is one transaction is not", "Remove it; with `-- noon: no-transaction` noon begins none.", false},
		{"uncommitted", Error, true, "leaves its transaction open", "nothing of it is kept, and its locks stay until the session ends", "Add COMMIT, or remove BEGIN.", false},
		{"long-name", Error, true, "uses a name of more than 63 bytes", "the server cuts it without an error, and two names may become one", "Take a shorter name.", false},
		{"several-locks", Warning, false, "locks several tables against reads or writes in one transaction", "each waits with the others held, and may deadlock with users that lock them in another order", "Give each table a section of its own.", false},
		{"lock-order", Error, true, "locks tables in the opposite order of another transaction of this script", "two of them at once deadlock", "Lock tables in the same order everywhere.", false},
		{"in-use", Error, true, "removes or renames what a release that is still live or warm uses", "that release fails", "Wait until it is gone: put it into the section `-- noon: contract` of a later release.", false},
	}
}

// ruleOf finds a rule, which has to be there.
func ruleOf(id string) Rule {
	for _, r := range Rules() {
		if r.ID == id {
			return r
		}
	}
	panic("lint: there is no rule " + id)
}
