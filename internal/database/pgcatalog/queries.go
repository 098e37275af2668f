package pgcatalog

// The questions. $1 is the list of schemas; columns are read by position, in
// the order of the fields of the row types in read.go.

const serverQuery = `
select current_setting('server_version_num')::int, current_database(), current_user,
  r.rolsuper, r.rolcreaterole, has_database_privilege(current_database(), 'CREATE'),
  pg_is_in_recovery(), current_setting('TimeZone'), current_setting('wal_level'),
  exists (select from pg_stat_replication where state is null)
from pg_roles r where r.rolname = current_user`

const schemasQuery = `
select nspname::text from pg_namespace
where nspname !~ '^pg_' and nspname <> 'information_schema' order by 1`

const tablesQuery = `
select n.nspname::text, c.relname::text, c.oid, c.relkind::text, pg_get_userbyid(c.relowner)::text,
  c.relispartition, c.reltuples::float8, c.relpages::bigint,
  case when c.relkind in ('r', 'm') then pg_relation_size(c.oid) else 0 end,
  case when c.relkind in ('r', 'm') then pg_indexes_size(c.oid) else 0 end,
  case when c.relkind in ('r', 'm') and c.reltoastrelid <> 0 then pg_total_relation_size(c.reltoastrelid) else 0 end,
  c.relrowsecurity, c.relforcerowsecurity, c.relpersistence = 'u',
  case when c.relkind in ('v', 'm') then pg_get_viewdef(c.oid) else '' end,
  coalesce(obj_description(c.oid, 'pg_class'), ''), current_setting('block_size')::bigint,
  case when c.relkind = 'p' then array(select distinct a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and
    (a.attnum = any((select p.partattrs from pg_partitioned_table p where p.partrelid = c.oid)::int2[])
     or exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.refclassid = 'pg_class'::regclass and d.refobjid = c.oid and d.refobjsubid = a.attnum)) order by 1)
  else '{}' end
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't'
order by 1, 2`

const inheritsQuery = `
select i.inhrelid, i.inhparent, cn.nspname::text, c.relname::text, pn.nspname::text, p.relname::text
from pg_inherits i
join pg_class c on c.oid = i.inhrelid join pg_namespace cn on cn.oid = c.relnamespace
join pg_class p on p.oid = i.inhparent join pg_namespace pn on pn.oid = p.relnamespace
where c.relkind in ('r', 'p', 'f') and (cn.nspname = any($1) or pn.nspname = any($1))
order by 3, 4, 5, 6, i.inhseqno`

const columnsQuery = `
select a.attrelid, a.attnum::int, a.attname::text, format_type(a.atttypid, a.atttypmod), y.typtype::text,
  yn.nspname::text, y.typname::text, a.attnotnull, coalesce(pg_get_expr(d.adbin, d.adrelid), ''),
  a.attgenerated <> '', case a.attidentity when 'a' then 'always' when 'd' then 'by default' else '' end,
  case when a.attcollation <> y.typcollation then quote_ident(cn.nspname) || '.' || quote_ident(co.collname) else '' end,
  coalesce(col_description(a.attrelid, a.attnum), '')
from pg_attribute a
join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
join pg_type y on y.oid = a.atttypid join pg_namespace yn on yn.oid = y.typnamespace
left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
left join pg_collation co on co.oid = a.attcollation left join pg_namespace cn on cn.oid = co.collnamespace
where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f') and a.attnum > 0 and not a.attisdropped
order by 1, 2`

const constraintsQuery = `
select k.conrelid, n.nspname::text, c.relname::text, k.conname::text, k.contype::text,
  array(select a.attname::text from unnest(k.conkey) with ordinality u(n, i) join pg_attribute a on a.attrelid = k.conrelid and a.attnum = u.n order by u.i),
  pg_get_constraintdef(k.oid), coalesce(pg_get_expr(k.conbin, k.conrelid), ''), k.convalidated, k.condeferrable,
  k.conparentid <> 0 or not k.conislocal, coalesce(ix.relname::text, ''), coalesce(fn.nspname::text, ''), coalesce(f.relname::text, ''),
  array(select a.attname::text from unnest(k.confkey) with ordinality u(n, i) join pg_attribute a on a.attrelid = k.confrelid and a.attnum = u.n order by u.i)
from pg_constraint k
join pg_class c on c.oid = k.conrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_class ix on ix.oid = k.conindid and k.contype in ('p', 'u', 'x')
left join pg_class f on f.oid = k.confrelid left join pg_namespace fn on fn.oid = f.relnamespace
left join pg_namespace rn on rn.oid = f.relnamespace
where (n.nspname = any($1) or rn.nspname = any($1)) and k.contype in ('c', 'f', 'p', 'u', 'x', 'n')
order by 2, 3, 4`

const indexesQuery = `
select i.indrelid, x.relname::text, pg_get_indexdef(i.indexrelid),
  array(select a.attname::text from unnest(i.indkey) with ordinality u(n, o) join pg_attribute a on a.attrelid = i.indrelid and a.attnum = u.n order by u.o)
  || array(select distinct a.attname::text from pg_depend d join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
     where d.classid = 'pg_class'::regclass and d.objid = i.indexrelid and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid
       and d.refobjsubid > 0 and not d.refobjsubid = any(i.indkey) order by 1),
  i.indnkeyatts::int, i.indisunique, i.indisprimary, i.indisvalid and i.indisready, i.indexprs is not null,
  coalesce(pg_get_expr(i.indpred, i.indrelid), ''), m.amname::text, coalesce(k.conname::text, ''), i.indisreplident,
  pg_relation_size(i.indexrelid)
from pg_index i
join pg_class x on x.oid = i.indexrelid join pg_am m on m.oid = x.relam
join pg_class c on c.oid = i.indrelid join pg_namespace n on n.oid = c.relnamespace
left join pg_constraint k on k.conindid = i.indexrelid and k.conrelid = i.indrelid and k.contype in ('p', 'u', 'x')
where n.nspname = any($1)
order by 1, 2`

const triggersQuery = `
select t.tgrelid, t.tgname::text, pg_get_triggerdef(t.oid), pn.nspname::text, p.proname::text, t.tgenabled::text
from pg_trigger t
join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
join pg_proc p on p.oid = t.tgfoid join pg_namespace pn on pn.oid = p.pronamespace
where n.nspname = any($1) and not t.tgisinternal
order by 1, 2`

// What uses a table or its columns, by the catalogue's own book of
// dependencies (pg_depend). A view depends through the rule that makes it one.
const dependentsQuery = `
select d.refobjid, o.kind, o.schema, o.name, o.of_schema, o.of_name,
  array(select a.attname::text from unnest(array_agg(distinct d.refobjsubid)) u(n) join pg_attribute a on a.attrelid = d.refobjid and a.attnum = u.n order by a.attnum)
from pg_depend d
join pg_class c on c.oid = d.refobjid join pg_namespace n on n.oid = c.relnamespace
cross join lateral (
  select case when w.rulename <> '_RETURN' then 'rule' when v.relkind = 'm' then 'materialized view' else 'view' end as kind,
    vn.nspname::text as schema, case when w.rulename <> '_RETURN' then w.rulename::text else v.relname::text end as name,
    vn.nspname::text as of_schema, v.relname::text as of_name
  from pg_rewrite w join pg_class v on v.oid = w.ev_class join pg_namespace vn on vn.oid = v.relnamespace
  where d.classid = 'pg_rewrite'::regclass and w.oid = d.objid and not (w.ev_class = d.refobjid and w.rulename = '_RETURN')
  union all
  select 'generated column', gn.nspname::text, ga.attname::text, gn.nspname::text, g.relname::text
  from pg_attrdef f join pg_class g on g.oid = f.adrelid join pg_namespace gn on gn.oid = g.relnamespace
  join pg_attribute ga on ga.attrelid = f.adrelid and ga.attnum = f.adnum
  where d.classid = 'pg_attrdef'::regclass and f.oid = d.objid and ga.attgenerated <> '' and f.adrelid = d.refobjid and f.adnum <> d.refobjsubid
  union all
  select 'generated column', gn.nspname::text, ga.attname::text, gn.nspname::text, g.relname::text
  from pg_attribute ga join pg_class g on g.oid = ga.attrelid join pg_namespace gn on gn.oid = g.relnamespace
  where d.classid = 'pg_class'::regclass and d.objid = ga.attrelid and d.objsubid = ga.attnum and ga.attgenerated <> '' and d.refobjid = ga.attrelid and d.refobjsubid > 0
  union all
  select 'policy', pn.nspname::text, p.polname::text, pn.nspname::text, pc.relname::text
  from pg_policy p join pg_class pc on pc.oid = p.polrelid join pg_namespace pn on pn.oid = pc.relnamespace
  where d.classid = 'pg_policy'::regclass and p.oid = d.objid and d.deptype = 'n'
  union all
  select 'trigger', tn.nspname::text, t.tgname::text, tn.nspname::text, tc.relname::text
  from pg_trigger t join pg_class tc on tc.oid = t.tgrelid join pg_namespace tn on tn.oid = tc.relnamespace
  where d.classid = 'pg_trigger'::regclass and t.oid = d.objid and not t.tgisinternal and d.refobjsubid > 0
  union all
  select 'function', rn.nspname::text, r.proname::text, rn.nspname::text, r.proname::text
  from pg_proc r join pg_namespace rn on rn.oid = r.pronamespace
  where d.classid = 'pg_proc'::regclass and r.oid = d.objid
  union all
  select 'statistics', sn.nspname::text, s.stxname::text, sn.nspname::text, s.stxname::text
  from pg_statistic_ext s join pg_namespace sn on sn.oid = s.stxnamespace
  where d.classid = 'pg_statistic_ext'::regclass and s.oid = d.objid and d.refobjsubid > 0
  union all
  select 'publication', '', b.pubname::text, bn.nspname::text, bc.relname::text
  from pg_publication_rel br join pg_publication b on b.oid = br.prpubid
  join pg_class bc on bc.oid = br.prrelid join pg_namespace bn on bn.oid = bc.relnamespace
  where d.classid = 'pg_publication_rel'::regclass and br.oid = d.objid and d.refobjsubid > 0
) o
where d.refclassid = 'pg_class'::regclass and n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm', 'f')
group by d.refobjid, o.kind, o.schema, o.name, o.of_schema, o.of_name
order by 1, 2, 3, 4, 5, 6`

const sequencesQuery = `
select d.refobjid, n.nspname::text, s.relname::text, a.attname::text, d.deptype = 'i'
from pg_depend d
join pg_class s on s.oid = d.objid and s.relkind = 'S' join pg_namespace n on n.oid = s.relnamespace
join pg_attribute a on a.attrelid = d.refobjid and a.attnum = d.refobjsubid
join pg_class c on c.oid = d.refobjid join pg_namespace cn on cn.oid = c.relnamespace
where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i') and d.refobjsubid > 0 and cn.nspname = any($1)
order by 1, 2, 3`

const policiesQuery = `
select p.polrelid, p.polname::text, p.polpermissive,
  case p.polcmd when 'r' then 'SELECT' when 'a' then 'INSERT' when 'w' then 'UPDATE' when 'd' then 'DELETE' else 'ALL' end,
  array(select case when u.r = 0 then 'public' else pg_get_userbyid(u.r)::text end from unnest(p.polroles) u(r) order by 1),
  coalesce(pg_get_expr(p.polqual, p.polrelid), ''), coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '')
from pg_policy p join pg_class c on c.oid = p.polrelid join pg_namespace n on n.oid = c.relnamespace
where n.nspname = any($1)
order by 1, 2`

const enumsQuery = `
select n.nspname::text, y.typname::text, array(select e.enumlabel::text from pg_enum e where e.enumtypid = y.oid order by e.enumsortorder)
from pg_type y join pg_namespace n on n.oid = y.typnamespace
where y.typtype = 'e' and n.nspname = any($1)
order by 1, 2`

const publicationsQuery = `
select b.pubname::text, b.puballtables from pg_publication b order by 1`

// Column lists, row filters and whole schemas came with PostgreSQL 15.
const publishedQuery15 = `
select b.pubname::text, n.nspname::text, c.relname::text,
  array(select a.attname::text from pg_attribute a where a.attrelid = r.prrelid and a.attnum = any(r.prattrs) order by a.attnum),
  coalesce(pg_get_expr(r.prqual, r.prrelid), '')
from pg_publication_rel r join pg_publication b on b.oid = r.prpubid
join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
union all
select b.pubname::text, n.nspname::text, c.relname::text, '{}', ''
from pg_publication_namespace r join pg_publication b on b.oid = r.pnpubid
join pg_namespace n on n.oid = r.pnnspid join pg_class c on c.relnamespace = n.oid and c.relkind in ('r', 'p')
order by 1, 2, 3`

const publishedQuery12 = `
select b.pubname::text, n.nspname::text, c.relname::text, '{}'::text[], ''
from pg_publication_rel r join pg_publication b on b.oid = r.prpubid
join pg_class c on c.oid = r.prrelid join pg_namespace n on n.oid = c.relnamespace
order by 1, 2, 3`

const sessionsQuery = `
select a.pid, coalesce(a.usename::text, ''), coalesce(a.application_name, ''), coalesce(host(a.client_addr), ''), coalesce(a.state, ''),
  coalesce(extract(epoch from clock_timestamp() - a.xact_start), 0)::float8, left(coalesce(a.query, ''), 200), pg_blocking_pids(a.pid)
from pg_stat_activity a
where a.datname = current_database() and coalesce(a.backend_type, 'client backend') = 'client backend' and a.pid <> pg_backend_pid()
order by a.pid`
