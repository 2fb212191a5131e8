-- The power of the role $1, which an admin has to know before changing it. Two NULLs if there is no such role.
WITH RECURSIVE
-- shared: powerful
powerful AS (
    -- The roles that reach beyond an application's data: PostgreSQL's predefined roles except the harmless ones, and
    -- the session's own user. Roles of database services count, too; only their names tell.
    SELECT rolname AS name FROM pg_roles
    WHERE rolname LIKE 'pg\_%' AND rolname NOT IN (
        'pg_database_owner', 'pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables',
        'pg_use_reserved_connections'
    )
    OR rolname LIKE 'rds\_%' OR rolname LIKE 'cloudsql%' OR rolname LIKE 'alloydb%' OR rolname LIKE 'azure%'
    OR rolname IN (
        CURRENT_USER, 'rdsadmin', 'neon_superuser', 'supabase_admin', 'avnadmin', 'doadmin', 'tsdbadmin', 'ybdba'
    )
),
-- end of shared
start AS (
    SELECT oid FROM pg_roles WHERE rolname = $1::text
),
-- shared: reach
server AS (
    SELECT current_setting('server_version_num')::int >= 160000 AS has_options
), reach (start, oid, inherits, acts, administers, may_grant) AS (
    -- The roles that each role in start reaches by memberships, and how: whether it has their rights and may act as
    -- them, whether it or a role that it may act as has ADMIN OPTION, and whether it inherits ADMIN OPTION.
    -- This is one walk over sets: pg_has_role would take seconds for thousands of roles.
    SELECT s.oid, s.oid, true, true, false, false FROM start AS s
    UNION
    SELECT r.start, m.roleid,
           r.inherits AND CASE WHEN server.has_options THEN m.inherit_option ELSE member.rolinherit END,
           r.acts AND m.set_option,
           m.admin_option,
           r.inherits AND m.admin_option
    FROM reach AS r
    JOIN pg_roles AS member ON member.oid = r.oid
    CROSS JOIN server
    -- Before PostgreSQL 16 memberships lack these columns, so they are computed here.
    CROSS JOIN (SELECT true AS inherit_option, true AS set_option) AS otherwise
    CROSS JOIN LATERAL (
        SELECT a.roleid, a.admin_option, inherit_option, set_option FROM pg_auth_members AS a WHERE a.member = r.oid
    ) AS m
), reached AS MATERIALIZED (
    SELECT start, oid,
           bool_or(inherits) AS inherits,
           bool_or(acts) AS acts,
           bool_or(administers) AS administers,
           bool_or(may_grant) AS may_grant
    FROM reach
    GROUP BY start, oid
),
-- end of shared
granted AS (
    -- Who may read the password hashes, or call a function that reaches the server's files.
    SELECT e.grantee
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname IN ('rolpassword', 'passwd')
    CROSS JOIN LATERAL (SELECT c.relacl UNION ALL SELECT a.attacl) AS of_it (acl)
    CROSS JOIN LATERAL aclexplode(of_it.acl) AS e
    WHERE c.oid IN ('pg_authid'::regclass, 'pg_shadow'::regclass) AND e.privilege_type = 'SELECT'
    UNION
    SELECT e.grantee
    FROM pg_proc AS p CROSS JOIN LATERAL aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS e
    WHERE p.pronamespace = 'pg_catalog'::regnamespace
      AND p.proname IN ('pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_stat_file', 'lo_import', 'lo_export')
)
SELECT bool_or(m.oid = m.start AND r.rolsuper),
       bool_or(
           r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
           OR r.rolname IN (SELECT name FROM powerful)
           OR r.oid IN (SELECT grantee FROM granted)
       ) OR 0 IN (SELECT grantee FROM granted)
FROM reached AS m
JOIN pg_roles AS r ON r.oid = m.oid
