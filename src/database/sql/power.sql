-- What an admin has to know of the role $1 before it is touched; two NULLs where there is no such role.
WITH
-- shared: powerful
powerful AS (
    -- Their members can read the server's files, run its programs, or do what RDS keeps for its master users.
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
