-- What an admin has to know of the role $1 before it is touched; two NULLs where there is no such role.
WITH RECURSIVE
-- shared: powerful
powerful AS (
    -- Their members can read the server's files, run its programs, or do what RDS keeps for its master users.
    SELECT unnest(ARRAY[
        'rds_superuser', 'pg_read_server_files', 'pg_write_server_files', 'pg_execute_server_program'
    ]) AS name
),
-- end of shared
start AS (
    SELECT oid FROM pg_roles WHERE rolname = $1::text
),
-- shared: reach
server AS (
    SELECT current_setting('server_version_num')::int >= 160000 AS has_options
), reach (start, oid, inherits, acts, administers, may_grant) AS (
    -- What each role in start gets to by memberships: whether it has the other's rights, may act as it, administers it
    -- (has ADMIN OPTION on it, or may act as a role that has), and may grant it (has the rights of a role that has).
    -- One walk over sets: to ask pg_has_role about each of thousands takes seconds.
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
    -- Before PostgreSQL 16 memberships have no such columns, and these take their place.
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
)
-- end of shared
SELECT bool_or(m.oid = m.start AND r.rolsuper),
       bool_or(
           r.rolsuper OR r.rolcreaterole OR r.rolreplication OR r.rolbypassrls
           OR r.rolname IN (SELECT name FROM powerful)
       )
FROM reached AS m
JOIN pg_roles AS r ON r.oid = m.oid
