-- The power of the role $1, before an admin changes it. Two NULLs if the role does not exist.
WITH
-- shared: powerful
powerful AS (
    -- Their members can use the server's files and programs, or do what RDS reserves for master users.
    SELECT unnest(ARRAY[
        'rds_superuser', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'
    ]) AS name
)
-- end of shared
SELECT bool_or(r.oid = t.oid AND r.rolsuper),
       bool_or(
           r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
           OR r.rolname IN (SELECT name FROM powerful)
       )
FROM pg_roles AS t
JOIN pg_roles AS r ON pg_has_role(t.oid, r.oid, 'MEMBER')
WHERE t.rolname = $1::text
