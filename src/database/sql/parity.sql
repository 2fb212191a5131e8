-- What sessions of the user $1 can do and those of the user $2 cannot, as one JSON object. It has the differences of
-- the roles and of the whole cluster, and the questions that parity_objects.sql answers in each database.
-- $1 the current user, $2 the next user, $3 the secret's database
-- $4 the role that a session of the next user acts as there, or NULL for the role in its settings
-- $5 the other databases to compare, or NULL for all; $6 the number of differences to describe, or NULL for all
WITH RECURSIVE
-- shared: setting
setting AS (
    -- This splits bytes: a session of another encoding may have set what is no text here.
    SELECT s.setrole, s.setdatabase, o.option_name AS name, o.option_value AS value
    FROM pg_db_role_setting AS s CROSS JOIN pg_options_to_table(s.setconfig) AS o
),
-- end of shared
login AS (
    SELECT u.oid, u.rolname AS name, u.rolname = $1::text AS theirs, u.rolsuper AS superuser
    FROM pg_roles AS u
    WHERE u.rolname IN ($1::text, $2::text)
), scope AS (
    -- The databases that the application may use.
    SELECT d.oid, d.datname AS name, d.datdba, d.datacl, d.datname = $3::text AS own
    FROM pg_database AS d
    WHERE d.datname = $3::text OR d.datallowconn AND ($5::text[] IS NULL OR d.datname::text = ANY ($5::text[]))
), role_setting AS (
    SELECT s.setrole, s.setdatabase, NULLIF(s.value, 'none') AS role
    FROM setting AS s
    WHERE s.name = 'role' AND (s.setrole = 0 OR s.setrole IN (SELECT oid FROM login))
), wanted AS (
    -- The "role" setting of each user in each database.
    SELECT l.oid AS login, d.oid AS database, s.role
    FROM login AS l
    CROSS JOIN scope AS d
    LEFT JOIN LATERAL (
        SELECT role FROM role_setting
        WHERE setrole IN (l.oid, 0) AND setdatabase IN (d.oid, 0)
        ORDER BY setrole = 0, setdatabase = 0
        LIMIT 1
    ) AS s ON true
), start AS (
    SELECT oid FROM login
    UNION
    SELECT r.oid FROM pg_roles AS r WHERE r.rolname = $4::text OR r.rolname IN (SELECT role FROM wanted)
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
acting AS (
    -- If a role may not be assumed, the session runs as the user that logged in.
    SELECT d.oid AS database, d.own, w.login, l.theirs, w.role AS wanted,
           COALESCE(actual.oid, CASE WHEN l.superuser OR a.acts THEN r.oid END, w.login) AS actor
    FROM wanted AS w
    JOIN scope AS d ON d.oid = w.database
    JOIN login AS l ON l.oid = w.login
    LEFT JOIN pg_roles AS r ON r.rolname = w.role
    LEFT JOIN reached AS a ON a.start = w.login AND a.oid = r.oid
    LEFT JOIN pg_roles AS actual ON actual.rolname = $4::text AND d.own AND NOT l.theirs
), them AS (
    SELECT * FROM acting WHERE own AND theirs
), us AS (
    SELECT * FROM acting WHERE own AND NOT theirs
), place AS (
    -- The two roles that the users act as in each database.
    SELECT d.oid, d.name, d.own, t.actor AS their_actor, u.actor AS our_actor
    FROM scope AS d
    JOIN acting AS t ON t.database = d.oid AND t.theirs
    JOIN acting AS u ON u.database = d.oid AND NOT u.theirs
), side AS (
    SELECT DISTINCT their_actor, our_actor FROM place
), role AS MATERIALIZED (
    -- The roles whose rights the two users have.
    SELECT s.their_actor, s.our_actor, r.oid,
           bool_or(r.start = s.their_actor) AS theirs,
           bool_or(r.start = s.our_actor) AS ours
    FROM side AS s
    JOIN reached AS r ON r.start IN (s.their_actor, s.our_actor) AND r.inherits
    WHERE s.their_actor <> s.our_actor
    GROUP BY s.their_actor, s.our_actor, r.oid
), difference AS MATERIALIZED (
    SELECT * FROM role WHERE theirs <> ours
), main AS (
    SELECT f.oid, f.theirs FROM difference AS f JOIN place AS p USING (their_actor, our_actor) WHERE p.own
), allowed AS MATERIALIZED (
    -- Which user may connect to which database. This right belongs to the user that logs in.
    SELECT d.oid AS database, l.theirs
    FROM scope AS d
    CROSS JOIN LATERAL aclexplode(COALESCE(d.datacl, acldefault('d', d.datdba))) AS e
    CROSS JOIN login AS l
    WHERE e.privilege_type = 'CONNECT'
    GROUP BY d.oid, l.theirs
    HAVING bool_or(
        e.grantee = 0 OR l.superuser OR (l.oid, e.grantee) IN (SELECT start, oid FROM reached WHERE inherits)
    )
), whereabouts AS MATERIALIZED (
    -- The databases with objects that a role has rights on.
    SELECT DISTINCT d.refobjid AS role, d.dbid AS database, d.deptype
    FROM (SELECT DISTINCT oid FROM difference) AS f
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = f.oid
    WHERE d.dbid <> 0 AND d.deptype IN ('o', 'a', 'r')
), touched AS (
    SELECT p.oid AS database
    FROM place AS p
    JOIN whereabouts AS w ON w.database = p.oid
    GROUP BY p.oid
    HAVING bool_or(
        (p.their_actor, p.our_actor, w.role, true) IN (SELECT their_actor, our_actor, oid, theirs FROM difference)
        OR w.deptype = 'r'
        AND (p.their_actor, p.our_actor, w.role) IN (SELECT their_actor, our_actor, oid FROM difference)
    )
),
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
with_power (oid) AS (
    SELECT oid FROM pg_roles
    WHERE rolsuper OR rolcreaterole OR rolreplication OR rolbypassrls OR rolname IN (SELECT name FROM powerful)
    UNION
    SELECT m.member FROM with_power AS p JOIN pg_auth_members AS m ON m.roleid = p.oid
), below (oid) AS (
    SELECT oid FROM (SELECT login AS oid FROM us UNION SELECT our_actor FROM side) AS s
    UNION
    SELECT m.member FROM below AS b JOIN pg_auth_members AS m ON m.roleid = b.oid
), ungrantable AS MATERIALIZED (
    -- A grant of these would give power, make a circle, or (before PostgreSQL 16) not help a role without INHERIT.
    SELECT oid FROM with_power
    UNION
    SELECT oid FROM below
    UNION
    SELECT f.oid FROM difference AS f JOIN pg_roles AS a ON a.oid = f.our_actor, server
    WHERE NOT server.has_options AND NOT a.rolinherit
), mention AS (
    -- pg_shdepend leads from a role to all objects that mention it, so that no other object is read.
    SELECT d.classid, d.objid, d.deptype, f.oid AS role, f.oid IN (them.login, them.actor) AS own
    FROM main AS f
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = f.oid AND d.dbid = 0
    CROSS JOIN them
    WHERE f.theirs AND d.deptype IN ('o', 'a')
), entry AS (
    SELECT a.classid, a.objid, a.owner, e.grantee, e.privilege_type AS privilege, e.is_grantable AS grantable
    FROM (
        SELECT 'pg_database'::regclass::oid, oid, datdba, datacl FROM pg_database
        UNION ALL
        SELECT 'pg_tablespace'::regclass, oid, spcowner, spcacl FROM pg_tablespace
    ) AS a (classid, objid, owner, acl)
    CROSS JOIN LATERAL aclexplode(a.acl) AS e
    WHERE (a.classid, a.objid) IN (SELECT classid, objid FROM mention) AND e.privilege_type <> 'CONNECT'
), our_role AS MATERIALIZED (
    SELECT r.oid FROM role AS r JOIN place AS p USING (their_actor, our_actor) WHERE p.own AND r.ours
    UNION ALL
    SELECT 0
), held AS (
    SELECT classid, objid, privilege, bool_or(grantable OR owner IN (SELECT oid FROM our_role)) AS grantable
    FROM entry
    GROUP BY classid, objid, privilege, grantee IN (SELECT oid FROM our_role)
    HAVING grantee IN (SELECT oid FROM our_role)
), lacking AS (
    SELECT m.role, m.own, 'owner' AS what, m.classid, m.objid, NULL AS privilege, false AS grantable
    FROM mention AS m
    WHERE m.deptype = 'o'
    UNION ALL
    SELECT m.role, m.own, 'privilege', e.classid, e.objid, e.privilege, e.grantable
    FROM entry AS e
    JOIN mention AS m ON m.classid = e.classid AND m.objid = e.objid AND m.role = e.grantee AND m.deptype = 'a'
    LEFT JOIN held AS h ON h.classid = e.classid AND h.objid = e.objid AND h.privilege = e.privilege
    WHERE NOT COALESCE(h.grantable OR NOT e.grantable AND h.privilege IS NOT NULL, false)
), may_act_as AS (
    -- Memberships of the users that log in: a session may change to any role that its user may act as.
    SELECT r.oid, bool_or(r.start = them.login) AS theirs, bool_or(r.start = us.login) AS ours
    FROM reached AS r, them, us
    WHERE r.acts AND r.start IN (them.login, us.login) AND r.oid NOT IN (them.login, us.login)
    GROUP BY r.oid
), administers AS (
    SELECT r.oid, bool_or(r.start = them.actor) AS theirs, bool_or(r.start = us.actor) AS ours
    FROM reached AS r, them, us
    WHERE r.administers AND r.start IN (them.actor, us.actor) AND r.oid NOT IN (them.login, us.login)
    GROUP BY r.oid
), missing AS MATERIALIZED (
    SELECT CASE l.what WHEN 'owner' THEN 1 ELSE 2 END AS rank,
           l.what, l.classid, l.objid, l.privilege, l.grantable, r.rolname AS name
    FROM lacking AS l JOIN pg_roles AS r ON r.oid = l.role
    WHERE l.own
    UNION ALL
    SELECT 3, 'connect', NULL, NULL, NULL, false, d.name
    FROM scope AS d
    WHERE NOT d.own
      AND d.oid IN (SELECT database FROM allowed WHERE theirs)
      AND d.oid NOT IN (SELECT database FROM allowed WHERE NOT theirs)
    UNION ALL
    SELECT 4, 'member', NULL, NULL, NULL, false, r.rolname
    FROM may_act_as AS d JOIN pg_roles AS r USING (oid)
    WHERE d.theirs AND NOT d.ours
    UNION ALL
    -- pg_shdepend has no rows for the roles that initdb creates. The owner of a database is a member of
    -- pg_database_owner without a grant, and no role can be granted it.
    SELECT 5, 'inherited-role', 'pg_authid'::regclass::oid, r.oid, NULL, false, r.rolname
    FROM main AS f JOIN pg_roles AS r USING (oid), them
    WHERE f.theirs AND f.oid NOT IN (them.login, them.actor)
      AND (f.oid < 16384 OR f.oid IN (SELECT role FROM lacking))
    UNION ALL
    SELECT 6, 'admin-option', NULL, NULL, NULL, false, r.rolname
    FROM administers AS a JOIN pg_roles AS r USING (oid)
    WHERE a.theirs AND NOT a.ours
    UNION ALL
    SELECT 7, CASE WHEN a.of_actor AND us.actor <> us.login THEN 'actor-attribute' ELSE 'attribute' END,
           NULL, NULL, NULL, false, a.name
    FROM us, them,
         pg_roles AS theirs, pg_roles AS ours, pg_roles AS their_actor, pg_roles AS our_actor,
         LATERAL (VALUES
             ('SUPERUSER', true, their_actor.rolsuper AND NOT our_actor.rolsuper),
             ('CREATEROLE', true, their_actor.rolcreaterole AND NOT our_actor.rolcreaterole),
             ('CREATEDB', true, their_actor.rolcreatedb AND NOT our_actor.rolcreatedb),
             ('BYPASSRLS', true, their_actor.rolbypassrls AND NOT our_actor.rolbypassrls),
             ('REPLICATION', false, theirs.rolreplication AND NOT ours.rolreplication),
             ('CONNECTION LIMIT ' || theirs.rolconnlimit, false,
                 ours.rolconnlimit >= 0 AND (theirs.rolconnlimit < 0 OR theirs.rolconnlimit > ours.rolconnlimit)),
             ('VALID UNTIL ''' || COALESCE(theirs.rolvaliduntil::text, 'infinity') || '''', false,
                 COALESCE(theirs.rolvaliduntil, 'infinity') > COALESCE(ours.rolvaliduntil, 'infinity'))
         ) AS a (name, of_actor, lacking)
    WHERE theirs.oid = them.login AND ours.oid = us.login
      AND their_actor.oid = them.actor AND our_actor.oid = us.actor AND a.lacking
    UNION ALL
    SELECT 8, 'setting', NULL, NULL, NULL, false,
           COALESCE(theirs.name, ours.name) || COALESCE(' in database ' || quote_ident(d.name), '')
    FROM (SELECT s.* FROM setting AS s JOIN them ON s.setrole = them.login) AS theirs
    FULL JOIN (SELECT s.* FROM setting AS s JOIN us ON s.setrole = us.login) AS ours USING (setdatabase, name)
    LEFT JOIN scope AS d ON d.oid = setdatabase
    WHERE theirs.value IS DISTINCT FROM ours.value
      AND CASE setdatabase WHEN 0 THEN COALESCE(theirs.name, ours.name) <> 'role' ELSE d.oid IS NOT NULL END
    UNION ALL
    SELECT 9, 'label', NULL, NULL, NULL, false, provider
    FROM pg_shseclabel, them, us
    WHERE classoid = 'pg_authid'::regclass AND objoid IN (them.login, us.login)
    GROUP BY provider
    HAVING count(*) < 2 OR count(DISTINCT label) > 1
), example AS (
    SELECT m.*, row_number() OVER () AS place
    FROM (SELECT * FROM missing ORDER BY rank, classid, objid, privilege, name LIMIT $6::int8) AS m
), directly_owned AS (
    -- Objects that belong to one of the two users directly, and not to the other.
    SELECT l.name AS role, COALESCE(p.datname, $3::text) AS database, count(*) AS objects
    FROM login AS l
    CROSS JOIN us
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = l.oid AND d.deptype = 'o'
    LEFT JOIN pg_database AS p ON p.oid = d.dbid
    WHERE l.oid <> us.actor AND d.classid NOT IN ('pg_user_mapping'::regclass, 'pg_default_acl'::regclass)
    GROUP BY 1, 2
), ineffective_grants AS (
    SELECT l.name AS role, count(*) AS grants
    FROM login AS l
    JOIN acting AS a ON a.login = l.oid AND a.own
    CROSS JOIN us
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = l.oid AND d.deptype = 'a'
    WHERE l.oid <> us.actor AND l.oid <> a.actor
    GROUP BY l.name
), question AS (
    SELECT p.their_actor, p.our_actor, json_agg(p.name ORDER BY NOT p.own, p.name) AS databases
    FROM place AS p
    JOIN pg_roles AS a ON a.oid = p.our_actor
    WHERE p.their_actor <> p.our_actor AND NOT a.rolsuper
      AND (p.own OR p.oid IN (SELECT database FROM touched)
                AND p.oid IN (SELECT database FROM allowed WHERE theirs)
                AND p.oid IN (SELECT database FROM allowed WHERE NOT theirs))
    GROUP BY p.their_actor, p.our_actor
)
SELECT json_build_object(
    'version', current_setting('server_version_num')::int,
    'current_exists', EXISTS (SELECT FROM login WHERE theirs),
    'wanted', (SELECT wanted FROM us),
    'current_wanted', (SELECT wanted FROM them),
    'acts_as', (SELECT r.rolname FROM us JOIN pg_roles AS r ON r.oid = us.actor),
    'total', (SELECT count(*) FROM missing),
    'missing', (
        SELECT COALESCE(json_agg(json_build_object(
            'what', e.what,
            'privilege', e.privilege,
            'grantable', e.grantable,
            'name', e.name,
            'type', i.type,
            'identity', i.identity,
            'ungrantable', CASE e.what
                WHEN 'inherited-role' THEN e.objid IN (SELECT oid FROM ungrantable)
                -- Before PostgreSQL 16 only a superuser could own a subscription.
                ELSE e.classid = 'pg_subscription'::regclass AND NOT (SELECT has_options FROM server)
            END
        ) ORDER BY place), '[]')
        FROM example AS e
        LEFT JOIN LATERAL pg_identify_object(e.classid, e.objid, 0) AS i ON e.classid IS NOT NULL
    ),
    'directly_owned', (
        SELECT COALESCE(json_agg(json_build_object(
            'role', role, 'database', database, 'objects', objects
        ) ORDER BY role, database <> $3::text, database), '[]')
        FROM directly_owned
    ),
    'ineffective_grants', (
        SELECT COALESCE(json_agg(json_build_object('role', role, 'grants', grants) ORDER BY role), '[]')
        FROM ineffective_grants
    ),
    'questions', (
        SELECT COALESCE(json_agg(json_build_object(
            'databases', q.databases,
            'their_login', (SELECT login::int8 FROM them),
            'their_actor', q.their_actor::int8,
            'our_actor', q.our_actor::int8,
            'theirs', r.theirs,
            'ours', r.ours,
            'ungrantable', r.ungrantable
        )), '[]')
        FROM question AS q
        CROSS JOIN LATERAL (
            SELECT COALESCE(json_agg(r.oid::int8) FILTER (WHERE r.theirs), '[]') AS theirs,
                   COALESCE(json_agg(r.oid::int8) FILTER (WHERE r.ours), '[]') AS ours,
                   COALESCE(json_agg(r.oid::int8) FILTER (
                       WHERE r.theirs AND NOT r.ours AND r.oid IN (SELECT oid FROM ungrantable)
                   ), '[]') AS ungrantable
            FROM role AS r
            WHERE r.their_actor = q.their_actor AND r.our_actor = q.our_actor
        ) AS r
    )
)::text
