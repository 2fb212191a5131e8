-- All that has to be known of two users before the one is made the other's equal, as one JSON object.
-- $1 the current user, $2 the other one, $3 the policy's owner role or NULL, $4 the base user, $5 the secret's database
WITH direct AS (
    -- Several grantors may each have granted a membership. Before PostgreSQL 16 it had no options but ADMIN.
    SELECT m.member, m.roleid,
           bool_or(m.admin_option) AS admin,
           bool_or(COALESCE((to_jsonb(m) ->> 'inherit_option')::bool, true)) AS inherit,
           bool_or(COALESCE((to_jsonb(m) ->> 'set_option')::bool, true)) AS set
    FROM pg_auth_members AS m
    GROUP BY m.member, m.roleid
), current AS (
    SELECT oid FROM pg_roles WHERE rolname = $1
), other AS (
    SELECT oid FROM pg_roles WHERE rolname = $2
), setting AS (
    SELECT s.setrole, s.setdatabase, split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value
    FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS entry
), acts_as AS (
    SELECT s.value AS name
    FROM setting AS s LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
    WHERE s.setrole = (SELECT oid FROM current) AND s.name = 'role' AND s.value NOT IN ('none', $1) AND (s.setdatabase = 0 OR d.datname = $5)
    ORDER BY s.setdatabase = 0
    LIMIT 1
), owner AS (
    SELECT n.name, r.oid
    FROM (SELECT COALESCE($3, (SELECT name FROM acts_as), $4) AS name) AS n LEFT JOIN pg_roles AS r ON r.rolname = n.name
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
                CASE WHEN t.rolname IN (:powerful) THEN t.rolname::text END
            ]) AS power
            WHERE power IS NOT NULL AND pg_has_role(r.oid, t.oid, 'MEMBER')
            ORDER BY power
        )
    ) AS facts
    FROM pg_roles AS r
    WHERE r.rolname IN ($1, $2, CURRENT_USER) OR r.oid = (SELECT oid FROM owner)
), differing AS (
    SELECT COALESCE(theirs.name, ours.name) AS name, d.datname AS database
    FROM (SELECT * FROM setting WHERE setrole = (SELECT oid FROM current)) AS theirs
    FULL JOIN (SELECT * FROM setting WHERE setrole = (SELECT oid FROM other)) AS ours USING (setdatabase, name)
    LEFT JOIN pg_database AS d ON d.oid = setdatabase
    WHERE theirs.value IS DISTINCT FROM ours.value AND NOT (setdatabase = 0 AND name = 'role')
), membership AS (
    SELECT r.oid, r.rolname, m.*
    FROM direct AS m JOIN pg_roles AS r ON r.oid = m.roleid
)
SELECT json_build_object(
    'version', current_setting('server_version_num')::int,
    'admin', (SELECT facts FROM fact WHERE oid = (SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER)),
    'current', (SELECT facts FROM fact JOIN current USING (oid)),
    'other', (SELECT facts FROM fact JOIN other USING (oid)),
    'owner', (SELECT facts FROM fact JOIN owner USING (oid)),
    'owner_name', (SELECT name FROM owner),
    'current_may_act', (SELECT pg_has_role(c.oid, o.oid, kind.set) FROM current AS c, owner AS o),
    'other_is_member', (SELECT pg_has_role(x.oid, o.oid, 'MEMBER') FROM other AS x, owner AS o),
    'other_may_act', (
        SELECT pg_has_role(x.oid, o.oid, kind.set) AND (kind.set = 'MEMBER' OR pg_has_role(x.oid, o.oid, 'USAGE')) FROM other AS x, owner AS o
    ),
    'admin_option_on_other', (SELECT pg_has_role(x.oid, 'MEMBER WITH ADMIN OPTION') FROM other AS x),
    'admin_option_on_owner', (SELECT pg_has_role(o.oid, 'MEMBER WITH ADMIN OPTION') FROM owner AS o),
    'lacking', (
        SELECT COALESCE(json_agg(json_build_object(
            'role', m.rolname, 'admin', m.admin, 'inherit', m.inherit, 'set', m.set, 'grantable', pg_has_role(m.oid, 'MEMBER WITH ADMIN OPTION')
        ) ORDER BY m.rolname), '[]')
        FROM membership AS m, owner AS o
        WHERE m.member = (SELECT oid FROM current) AND m.oid IS DISTINCT FROM o.oid AND m.oid IS DISTINCT FROM (SELECT oid FROM other)
          AND (m.admin OR o.oid IS NULL OR NOT pg_has_role(o.oid, m.oid, 'MEMBER'))
          AND NOT EXISTS (
              SELECT FROM direct AS d
              WHERE d.member = (SELECT oid FROM other) AND d.roleid = m.roleid AND d.admin >= m.admin AND d.inherit >= m.inherit AND d.set >= m.set
          )
    ),
    'surplus', ARRAY(
        SELECT m.rolname
        FROM membership AS m, owner AS o, current AS c
        WHERE m.member = (SELECT oid FROM other) AND m.oid IS DISTINCT FROM o.oid AND NOT pg_has_role(c.oid, m.oid, 'MEMBER')
        ORDER BY m.rolname
    ),
    'settings', ARRAY(SELECT name || COALESCE(' in database ' || quote_ident(database), '') FROM differing ORDER BY 1),
    'sessions', (SELECT count(*) FROM pg_stat_activity WHERE usename = $2)
)::text
-- PostgreSQL 16 split the right to act as a role from membership, under a name that older servers refuse.
FROM (SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END AS set) AS kind
