package outline

import (
	"context"
	"database/sql"
	"errors"
	"net/url"

	"github.com/go-sql-driver/mysql"

	"github.com/noon-deploy/noon"
	"github.com/noon-deploy/noon/internal/database/migration"
)

// own reports whether a table is noon's: the history of migrations, and who has
// migrated last.
func own(table string) bool { return table == "noon_migration" || table == "noon_migration_epoch" }

// mariadb looks into the database of an address of MariaDB or MySQL.
func mariadb(ctx context.Context, address string) (_ noon.Schema, err error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	config, err := migration.MySQLConfig(u)
	if err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(connector)
	defer func() { err = errors.Join(err, db.Close()) }()
	s := noon.Schema{}
	for _, query := range mariadbQueries() {
		err := each(ctx, db, query, func(r *sql.Rows) error {
			var kind, table, object, is string
			if err := r.Scan(&kind, &table, &object, &is); err != nil {
				return err
			}
			switch {
			case own(table):
			case object == "":
				s[kind+" "+table] = is
			default:
				s[kind+" "+table+"."+object] = is
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return s, nil
}

// mariadbQueries give kind, table, object and what it is. Names of columns in
// capitals are those of MySQL 8, which MariaDB understands too.
func mariadbQueries() []string {
	return []string{
		`SELECT CASE TABLE_TYPE WHEN 'SEQUENCE' THEN 'sequence' ELSE 'table' END, TABLE_NAME, '', ''
			FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE NOT LIKE '%VIEW%'`,
		`SELECT 'view', TABLE_NAME, '', VIEW_DEFINITION FROM information_schema.VIEWS WHERE TABLE_SCHEMA = DATABASE()`,
		`SELECT 'column', TABLE_NAME, COLUMN_NAME, CONCAT_WS(' ', COLUMN_TYPE, IF(IS_NULLABLE = 'NO', 'not null', NULL),
				IF(COLUMN_DEFAULT IS NULL OR COLUMN_DEFAULT = 'NULL', NULL, CONCAT('default ', COLUMN_DEFAULT)), NULLIF(EXTRA, ''), NULLIF(GENERATION_EXPRESSION, ''))
			FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()`,
		`SELECT 'index', TABLE_NAME, INDEX_NAME, CONCAT(IF(MIN(NON_UNIQUE) = 0, 'unique ', ''), LOWER(MIN(INDEX_TYPE)), ' (',
				GROUP_CONCAT(COALESCE(COLUMN_NAME, 'expression'), COALESCE(CONCAT('(', SUB_PART, ')'), ''), IF(COLLATION = 'D', ' desc', '') ORDER BY SEQ_IN_INDEX SEPARATOR ', '), ')')
			FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = DATABASE() GROUP BY TABLE_NAME, INDEX_NAME`,
		`SELECT 'constraint', k.TABLE_NAME, k.CONSTRAINT_NAME, CONCAT('foreign key (', GROUP_CONCAT(k.COLUMN_NAME ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), ') references ',
				MIN(k.REFERENCED_TABLE_NAME), ' (', GROUP_CONCAT(k.REFERENCED_COLUMN_NAME ORDER BY k.ORDINAL_POSITION SEPARATOR ', '), ') on delete ', LOWER(MIN(r.DELETE_RULE)), ' on update ', LOWER(MIN(r.UPDATE_RULE)))
			FROM information_schema.KEY_COLUMN_USAGE k
			JOIN information_schema.REFERENTIAL_CONSTRAINTS r ON r.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA AND r.CONSTRAINT_NAME = k.CONSTRAINT_NAME AND r.TABLE_NAME = k.TABLE_NAME
			WHERE k.TABLE_SCHEMA = DATABASE() GROUP BY k.TABLE_NAME, k.CONSTRAINT_NAME`,
		`SELECT 'constraint', t.TABLE_NAME, t.CONSTRAINT_NAME, CONCAT('check (', c.CHECK_CLAUSE, ')')
			FROM information_schema.TABLE_CONSTRAINTS t
			JOIN information_schema.CHECK_CONSTRAINTS c ON c.CONSTRAINT_SCHEMA = t.CONSTRAINT_SCHEMA AND c.CONSTRAINT_NAME = t.CONSTRAINT_NAME
			WHERE t.TABLE_SCHEMA = DATABASE() AND t.CONSTRAINT_TYPE = 'CHECK'`,
		`SELECT 'trigger', EVENT_OBJECT_TABLE, TRIGGER_NAME, CONCAT_WS(' ', LOWER(ACTION_TIMING), LOWER(EVENT_MANIPULATION), ACTION_STATEMENT)
			FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()`,
	}
}
