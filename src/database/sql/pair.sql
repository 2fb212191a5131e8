-- All that has to be known of two users before the one is made the other's equal, as one JSON object.
-- $1 the current user, $2 the next user, $3 the policy's owner role or NULL, $4 the base user, $5 the secret's database
WITH
-- shared: server
server AS (
    -- PostgreSQL 16 split the right to act as a role from membership, under a name that older servers refuse.
    SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END AS act,
           (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
),
-- end of shared
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
),
-- end of shared
-- shared: setting
setting AS (
    SELECT s.setrole, s.setdatabase,
           split_part(entry, '=', 1) AS name,
           substr(entry, strpos(entry, '=') + 1) AS value
    FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS entry
),
-- end of shared
direct AS (
    -- Several grantors may each have granted a membership. Before PostgreSQL 16 it had no options but ADMIN.
    SELECT m.member, m.roleid,
           bool_or(m.admin_option) AS admin,
           bool_or(COALESCE((to_jsonb(m) ->> 'inherit_option')::bool, true)) AS inherit,
           bool_or(COALESCE((to_jsonb(m) ->> 'set_option')::bool, true)) AS set
    FROM pg_auth_members AS m
    GROUP BY m.member, m.roleid
), current AS (
    SELECT oid FROM pg_roles WHERE rolname = $1::text
), next_user AS (
    SELECT oid FROM pg_roles WHERE rolname = $2::text
), role_setting AS (
    -- All that may set the role that the current user acts as in its database, the strongest first.
    SELECT NULLIF(NULLIF(s.value, 'none'), $1::text) AS name,
           s.setrole = 0 AS of_all_users,
           s.setdatabase <> 0 AS in_database,
           row_number() OVER (ORDER BY s.setrole = 0, s.setdatabase = 0) AS place
    FROM setting AS s LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    WHERE s.name = 'role' AND s.setrole IN ((SELECT oid FROM current), 0)
      AND (s.setdatabase = 0 OR d.datname = $5::text)
), owner AS (
    SELECT n.name, r.oid
    FROM (
        SELECT COALESCE(
            $3::text, (SELECT name FROM role_setting WHERE NOT of_all_users AND NOT in_database), $4::text
        ) AS name
    ) AS n
    LEFT JOIN pg_roles AS r ON r.rolname = n.name
), fact AS (
    SELECT r.oid, json_build_object(
        'name', r.rolname,
        'superuser', r.rolsuper,
        'create_role', r.rolcreaterole,
        'create_db', r.rolcreatedb,
        'replication', r.rolreplication,
        'bypass_rls', r.rolbypassrls,
        'inherit', r.rolinherit,
        'connection_limit', r.rolconnlimit,
        'valid_until', r.rolvaliduntil::text,
        'powers', ARRAY(
            SELECT DISTINCT power
            FROM pg_roles AS t
            CROSS JOIN LATERAL unnest(ARRAY[
                CASE WHEN t.rolsuper THEN 'SUPERUSER' END,
                CASE WHEN t.rolcreaterole THEN 'CREATEROLE' END,
                CASE WHEN t.rolreplication THEN 'REPLICATION' END,
                CASE WHEN t.rolbypassrls THEN 'BYPASSRLS' END,
                CASE WHEN t.rolname IN (SELECT name FROM powerful) THEN t.rolname::text END
            ]) AS power
            WHERE power IS NOT NULL AND pg_has_role(r.oid, t.oid, 'MEMBER')
            ORDER BY power
        )
    ) AS facts
    FROM pg_roles AS r
    WHERE r.rolname IN ($1::text, $2::text, CURRENT_USER)
), differing AS (
    SELECT COALESCE(theirs.name, ours.name) AS name, d.datname AS database
    FROM (SELECT * FROM setting WHERE setrole = (SELECT oid FROM current)) AS theirs
    FULL JOIN (SELECT * FROM setting WHERE setrole = (SELECT oid FROM next_user)) AS ours USING (setdatabase, name)
    LEFT JOIN pg_database AS d ON d.oid = setdatabase
    WHERE theirs.value IS DISTINCT FROM ours.value AND NOT (setdatabase = 0 AND name = 'role')
), theirs AS MATERIALIZED (
    SELECT m.*, r.rolname
    FROM direct AS m JOIN pg_roles AS r ON r.oid = m.roleid
    WHERE m.member = (SELECT oid FROM current)
), through_owner AS MATERIALIZED (
    -- One role at a time is asked about here and below: the server remembers the memberships of the last one only.
    SELECT t.roleid FROM theirs AS t, owner AS o, server
    WHERE o.oid <> t.roleid
      AND (NOT t.set OR pg_has_role(o.oid, t.roleid, server.act))
      AND (NOT t.inherit OR pg_has_role(o.oid, t.roleid, 'USAGE'))
      AND (NOT t.admin OR pg_has_role(o.oid, t.roleid, 'MEMBER WITH ADMIN OPTION'))
), grantable AS MATERIALIZED (
    -- From PostgreSQL 16 on, a GRANT needs ADMIN OPTION that the admin has itself, or inherits.
    SELECT DISTINCT a.roleid FROM pg_auth_members AS a WHERE a.admin_option AND pg_has_role(a.member, 'USAGE')
), reached AS MATERIALIZED (
    SELECT r.oid FROM pg_roles AS r, current AS c WHERE pg_has_role(c.oid, r.oid, 'MEMBER')
)
SELECT json_build_object(
    'version', current_setting('server_version_num')::int,
    'admin', (SELECT facts FROM fact WHERE oid = (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER)),
    'current', (SELECT facts FROM fact JOIN current USING (oid)),
    'next_user', (SELECT facts FROM fact JOIN next_user USING (oid)),
    'owner_exists', (SELECT oid IS NOT NULL FROM owner),
    'owner_name', (SELECT name FROM owner),
    'role_of_all_users', (SELECT name FROM role_setting WHERE place = 1 AND of_all_users),
    'current_acts_as', COALESCE((SELECT name FROM role_setting WHERE place = 1), $1::text),
    'by_database', EXISTS (SELECT FROM role_setting WHERE place = 1 AND in_database AND NOT of_all_users),
    'current_may_act', (SELECT pg_has_role(c.oid, o.oid, server.act) FROM current AS c, owner AS o),
    'current_inherits', (SELECT pg_has_role(c.oid, o.oid, 'USAGE') FROM current AS c, owner AS o),
    -- Only the next user, or a role with power over it, can have set the first;
    -- only an admin of the current user can have granted the second.
    'next_user_is_second', (
        SELECT EXISTS (
            SELECT FROM setting AS s
            WHERE s.setrole = x.oid AND s.setdatabase = 0 AND s.name = 'role' AND s.value = o.name
        ) OR o.oid = c.oid AND $1::text = $4::text AND EXISTS (
            SELECT FROM pg_auth_members AS m
            WHERE m.roleid = o.oid AND m.member = x.oid AND NOT pg_has_role(c.oid, m.grantor, 'MEMBER')
        )
        FROM next_user AS x, owner AS o, current AS c
    ),
    'next_user_may_act', (
        SELECT pg_has_role(x.oid, o.oid, server.act) AND (server.act = 'MEMBER' OR pg_has_role(x.oid, o.oid, 'USAGE'))
        FROM next_user AS x, owner AS o
    ),
    'admin_option_on_next_user', (SELECT pg_has_role(x.oid, 'MEMBER WITH ADMIN OPTION') FROM next_user AS x),
    'admin_option_on_owner', (SELECT o.oid IN (SELECT roleid FROM grantable) FROM owner AS o),
    'lacking', (
        SELECT COALESCE(json_agg(json_build_object(
            'role', t.rolname,
            'admin', t.admin OR COALESCE(d.admin, false),
            'inherit', t.inherit OR COALESCE(d.inherit, false),
            'set', t.set OR COALESCE(d.set, false),
            'grantable', t.roleid IN (SELECT roleid FROM grantable)
        ) ORDER BY t.rolname), '[]')
        FROM theirs AS t
        CROSS JOIN owner AS o
        LEFT JOIN direct AS d ON d.member = (SELECT oid FROM next_user) AND d.roleid = t.roleid
        WHERE t.roleid IS DISTINCT FROM o.oid AND t.roleid IS DISTINCT FROM (SELECT oid FROM next_user)
          AND t.roleid NOT IN (SELECT roleid FROM through_owner)
          AND NOT COALESCE(d.admin >= t.admin AND d.inherit >= t.inherit AND d.set >= t.set, false)
    ),
    'surplus', (
        SELECT COALESCE(
            json_agg(json_build_object('role', r.rolname, 'grantor', g.rolname) ORDER BY r.rolname, g.rolname), '[]'
        )
        FROM pg_auth_members AS m
        JOIN pg_roles AS r ON r.oid = m.roleid
        JOIN pg_roles AS g ON g.oid = m.grantor
        CROSS JOIN owner AS o
        WHERE m.member = (SELECT oid FROM next_user) AND m.roleid IS DISTINCT FROM o.oid
          AND m.roleid NOT IN (SELECT oid FROM reached)
    ),
    'settings', ARRAY(SELECT name || COALESCE(' in database ' || quote_ident(database), '') FROM differing ORDER BY 1),
    'sessions', (SELECT count(*) FROM pg_stat_activity WHERE usename = $2::text)
)::text
FROM server
