-- What an admin has to know of the role $1 before it is touched; two NULLs where there is no such role.
WITH
-- shared: powerful
powerful AS (
    -- What reaches beyond a role's own data, besides attributes: PostgreSQL's own roles but for the harmless ones, the
    -- session's own user, and what the services call their own. A service's role is known by its name alone.
    SELECT rolname AS name FROM pg_roles
    WHERE rolname LIKE 'pg\_%' AND rolname NOT IN (
        'pg_database_owner', 'pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables',
        'pg_use_reserved_connections'
    )
    OR rolname LIKE 'rds\_%' OR rolname LIKE 'cloudsql%' OR rolname LIKE 'alloydb%' OR rolname LIKE 'azure%'
    OR rolname IN (
        CURRENT_USER, 'rdsadmin', 'neon_superuser', 'supabase_admin', 'avnadmin', 'doadmin', 'tsdbadmin', 'ybdba'
    )
)
-- end of shared
SELECT bool_or(r.oid = t.oid AND r.rolsuper),
       bool_or(
           r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
           OR r.rolname IN (SELECT name FROM powerful)
           -- What was granted without a role: the password hashes, and functions that reach the server's files.
           OR r.oid = t.oid AND (
               has_table_privilege(t.oid, 'pg_authid', 'SELECT')
               OR EXISTS (
                   SELECT FROM pg_proc AS p
                   WHERE p.pronamespace = 'pg_catalog'::regnamespace AND has_function_privilege(t.oid, p.oid, 'EXECUTE')
                     AND p.proname IN (
                         'pg_read_file', 'pg_read_binary_file', 'pg_ls_dir', 'pg_stat_file', 'lo_import', 'lo_export'
                     )
               )
           )
       )
FROM pg_roles AS t
JOIN pg_roles AS r ON pg_has_role(t.oid, r.oid, 'MEMBER')
WHERE t.rolname = $1::text
