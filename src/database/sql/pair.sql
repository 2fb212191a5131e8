-- The facts for making the next user the current one's equal, as one JSON object.
-- $1 the current user, $2 the next user, $3 the policy's owner role or NULL, $4 the base user, $5 the secret's database
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
-- shared: setting
setting AS (
    -- This splits bytes: a session of another encoding may have set what is no text here.
    SELECT s.setrole, s.setdatabase, o.option_name AS name, o.option_value AS value
    FROM pg_db_role_setting AS s CROSS JOIN pg_options_to_table(s.setconfig) AS o
),
-- end of shared
current AS (
    SELECT oid FROM pg_roles WHERE rolname = $1::text
), next_user AS (
    SELECT oid FROM pg_roles WHERE rolname = $2::text
), role_setting AS (
    -- The settings that can decide the role of the current user in its database, the strongest first.
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
), admin AS (
    SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER
), start AS (
    SELECT oid FROM current
    UNION SELECT oid FROM next_user
    UNION SELECT oid FROM admin
    UNION SELECT oid FROM owner WHERE oid IS NOT NULL
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
membership AS MATERIALIZED (
    -- Several grantors may have granted a membership. Before PostgreSQL 16 its only option was ADMIN.
    SELECT m.roleid,
           COALESCE(bool_or(m.member = current.oid), false) AS theirs,
           COALESCE(bool_or(m.admin_option) FILTER (WHERE m.member = current.oid), false) AS admin,
           COALESCE(bool_or(m.inherit_option) FILTER (WHERE m.member = current.oid), false) AS inherit,
           COALESCE(bool_or(m.set_option) FILTER (WHERE m.member = current.oid), false) AS set,
           COALESCE(bool_or(m.admin_option) FILTER (WHERE m.member = next_user.oid), false) AS next_admin,
           COALESCE(bool_or(m.inherit_option) FILTER (WHERE m.member = next_user.oid), false) AS next_inherit,
           COALESCE(bool_or(m.set_option) FILTER (WHERE m.member = next_user.oid), false) AS next_set,
           COALESCE(bool_or(m.member = next_user.oid), false) AS next_has
    FROM (SELECT true AS inherit_option, true AS set_option) AS otherwise
    CROSS JOIN LATERAL (
        SELECT a.member, a.roleid, a.admin_option, inherit_option, set_option FROM pg_auth_members AS a
    ) AS m
    CROSS JOIN current
    LEFT JOIN next_user ON true
    WHERE m.member IN (current.oid, next_user.oid)
    GROUP BY m.roleid
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
            FROM reached AS m
            JOIN pg_roles AS t ON t.oid = m.oid
            CROSS JOIN LATERAL unnest(ARRAY[
                CASE WHEN t.rolsuper THEN 'SUPERUSER' END,
                CASE WHEN t.rolcreaterole THEN 'CREATEROLE' END,
                CASE WHEN t.rolreplication THEN 'REPLICATION' END,
                CASE WHEN t.rolbypassrls THEN 'BYPASSRLS' END,
                CASE WHEN t.rolname IN (SELECT name FROM powerful) THEN t.rolname::text END
            ]) AS power
            WHERE m.start = r.oid AND power IS NOT NULL
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
    -- The memberships of the current user that the owner role does not give, and whether the admin may grant them.
    SELECT m.*, r.rolname,
           m.roleid IN (SELECT g.oid FROM reached AS g JOIN owner ON owner.oid = g.start WHERE g.acts) AS owner_acts,
           m.roleid IN (SELECT g.oid FROM reached AS g JOIN owner ON owner.oid = g.start WHERE g.inherits) AS owner_has,
           m.roleid IN (SELECT g.oid FROM reached AS g JOIN owner ON owner.oid = g.start WHERE g.administers)
               AS owner_administers,
           m.roleid IN (SELECT g.oid FROM reached AS g JOIN admin ON admin.oid = g.start WHERE g.may_grant)
               AS grantable
    FROM membership AS m
    JOIN pg_roles AS r ON r.oid = m.roleid
    WHERE m.theirs AND m.roleid NOT IN (SELECT oid FROM next_user UNION SELECT oid FROM owner WHERE oid IS NOT NULL)
), relation AS (
    -- The relations between the two users and the owner role.
    SELECT current_owner.acts AS current_acts, current_owner.inherits AS current_inherits,
           next_owner.acts AS next_acts, next_owner.inherits AS next_inherits
    FROM owner
    LEFT JOIN reached AS current_owner
      ON current_owner.oid = owner.oid AND current_owner.start = (SELECT oid FROM current)
    LEFT JOIN reached AS next_owner
      ON next_owner.oid = owner.oid AND next_owner.start = (SELECT oid FROM next_user)
)
SELECT json_build_object(
    'version', current_setting('server_version_num')::int,
    'admin', (SELECT facts FROM fact JOIN admin USING (oid)),
    'current', (SELECT facts FROM fact JOIN current USING (oid)),
    'next_user', (SELECT facts FROM fact JOIN next_user USING (oid)),
    'owner_exists', (SELECT oid IS NOT NULL FROM owner),
    'owner_name', (SELECT name FROM owner),
    'role_of_all_users', (SELECT name FROM role_setting WHERE place = 1 AND of_all_users),
    'current_acts_as', COALESCE((SELECT name FROM role_setting WHERE place = 1), $1::text),
    'by_database', EXISTS (SELECT FROM role_setting WHERE place = 1 AND in_database AND NOT of_all_users),
    'current_may_act', (SELECT COALESCE(current_acts, false) FROM relation),
    'current_inherits', (SELECT COALESCE(current_inherits, false) FROM relation),
    -- Only the next user or a role with power over it can have made the first setting.
    -- Only an admin of the current user can have granted the second.
    'next_user_is_second', (
        SELECT EXISTS (
            SELECT FROM setting AS s
            WHERE s.setrole = x.oid AND s.setdatabase = 0 AND s.name = 'role' AND s.value = o.name
        ) OR o.oid = c.oid AND $1::text = $4::text AND EXISTS (
            SELECT FROM pg_auth_members AS m
            WHERE m.roleid = o.oid AND m.member = x.oid
              AND m.grantor NOT IN (SELECT r.oid FROM reached AS r WHERE r.start = c.oid)
        )
        FROM next_user AS x, owner AS o, current AS c
    ),
    'next_user_may_act', (
        SELECT COALESCE(next_acts AND (next_inherits OR NOT has_options), false) FROM next_user, relation, server
    ),
    'admin_option_on_next_user', (
        SELECT next_user.oid IN (SELECT g.oid FROM reached AS g JOIN admin ON admin.oid = g.start WHERE g.administers)
        FROM next_user
    ),
    'admin_option_on_owner', (
        SELECT owner.oid IN (SELECT g.oid FROM reached AS g JOIN admin ON admin.oid = g.start WHERE g.may_grant)
        FROM owner
    ),
    'lacking', (
        SELECT COALESCE(json_agg(json_build_object(
            'role', t.rolname,
            'admin', t.admin OR t.next_admin,
            'inherit', t.inherit OR t.next_inherit,
            'set', t.set OR t.next_set,
            'grantable', t.grantable
        ) ORDER BY t.rolname), '[]')
        FROM theirs AS t
        WHERE NOT (t.owner_acts >= t.set AND t.owner_has >= t.inherit AND t.owner_administers >= t.admin)
          AND NOT (t.next_has AND t.next_admin >= t.admin AND t.next_inherit >= t.inherit AND t.next_set >= t.set)
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
          AND m.roleid NOT IN (SELECT r.oid FROM reached AS r JOIN current ON current.oid = r.start)
    ),
    'settings', ARRAY(SELECT name || COALESCE(' in database ' || quote_ident(database), '') FROM differing ORDER BY 1),
    -- pg_stat_activity would walk all memberships of the admin, and some servers take it from PUBLIC.
    'sessions', (
        SELECT count(*) FROM pg_stat_get_backend_idset() AS b
        WHERE pg_stat_get_backend_userid(b) = (SELECT oid FROM next_user)
    )
)::text
