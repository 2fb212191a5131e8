-- What sessions of the user $1 can do and this session cannot, as one JSON object with at most $2 examples.
WITH
-- shared: server
server AS (
    -- PostgreSQL 16 separated the right to act as a role from membership. Older servers refuse its name.
    SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END AS act,
           (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
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
-- shared: the two users
login AS (
    -- If a role may not be assumed, the session runs as the user that logged in.
    SELECT u.oid, u.rolname AS name, u.rolname = $1::text AS theirs, wanted.name AS wanted,
           COALESCE((
               SELECT r.oid FROM pg_roles AS r, server
               WHERE r.rolname = wanted.name AND pg_has_role(u.oid, r.oid, server.act)
           ), u.oid) AS acts_as
    FROM pg_roles AS u
    LEFT JOIN LATERAL (
        SELECT NULLIF(s.value, 'none') AS name
        FROM setting AS s, server
        WHERE s.name = 'role' AND s.setrole IN (u.oid, 0) AND s.setdatabase IN (server.database, 0)
        ORDER BY s.setrole = 0, s.setdatabase = 0
        LIMIT 1
    ) AS wanted ON true
    WHERE u.rolname IN ($1::text, SESSION_USER)
), them AS (
    SELECT * FROM login WHERE theirs
), mine AS (
    SELECT oid FROM pg_roles WHERE rolname = CURRENT_USER
), their_roles AS MATERIALIZED (
    -- All questions about one role come together: the server caches the memberships of one role.
    SELECT r.oid FROM pg_roles AS r, them AS t WHERE pg_has_role(t.acts_as, r.oid, 'USAGE')
), our_roles AS MATERIALIZED (
    SELECT r.oid FROM pg_roles AS r, mine AS m WHERE pg_has_role(m.oid, r.oid, 'USAGE')
), role AS (
    SELECT oid, t.oid IS NOT NULL AS theirs, o.oid IS NOT NULL AS ours
    FROM their_roles AS t FULL JOIN our_roles AS o USING (oid)
), mention AS (
    -- pg_shdepend leads from a role to all objects that mention it, so that no other object is read.
    SELECT d.classid, d.objid, d.objsubid, d.deptype, r.oid AS role, r.theirs
    FROM role AS r
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = r.oid
    WHERE r.theirs <> r.ours AND d.dbid IN (0, (SELECT database FROM server))
),
-- end of shared
us AS (
    SELECT * FROM login WHERE NOT theirs
), their_reach AS MATERIALIZED (
    SELECT r.oid FROM pg_roles AS r, them AS t, server WHERE pg_has_role(t.oid, r.oid, server.act)
), our_reach AS MATERIALIZED (
    SELECT r.oid FROM pg_roles AS r, us AS u, server WHERE pg_has_role(u.oid, r.oid, server.act)
), with_admin AS MATERIALIZED (
    SELECT DISTINCT roleid AS oid FROM pg_auth_members WHERE admin_option
), their_admin AS MATERIALIZED (
    SELECT a.oid FROM with_admin AS a, them AS t WHERE pg_has_role(t.acts_as, a.oid, 'MEMBER WITH ADMIN OPTION')
), our_admin AS MATERIALIZED (
    SELECT a.oid FROM with_admin AS a, mine AS m WHERE pg_has_role(m.oid, a.oid, 'MEMBER WITH ADMIN OPTION')
), granted AS (
    SELECT m.classid, m.objid, m.objsubid, e.privilege_type AS privilege, e.is_grantable AS grantable
    FROM mention AS m
    CROSS JOIN LATERAL (
        SELECT relacl FROM pg_class WHERE m.classid = 'pg_class'::regclass AND m.objsubid = 0 AND oid = m.objid
        UNION ALL
        SELECT attacl FROM pg_attribute
        WHERE m.classid = 'pg_class'::regclass AND attrelid = m.objid AND attnum = m.objsubid
        UNION ALL
        SELECT nspacl FROM pg_namespace WHERE m.classid = 'pg_namespace'::regclass AND oid = m.objid
        UNION ALL
        SELECT proacl FROM pg_proc WHERE m.classid = 'pg_proc'::regclass AND oid = m.objid
        UNION ALL
        SELECT typacl FROM pg_type WHERE m.classid = 'pg_type'::regclass AND oid = m.objid
        UNION ALL
        SELECT lanacl FROM pg_language WHERE m.classid = 'pg_language'::regclass AND oid = m.objid
        UNION ALL
        SELECT fdwacl FROM pg_foreign_data_wrapper
        WHERE m.classid = 'pg_foreign_data_wrapper'::regclass AND oid = m.objid
        UNION ALL
        SELECT srvacl FROM pg_foreign_server WHERE m.classid = 'pg_foreign_server'::regclass AND oid = m.objid
        UNION ALL
        SELECT datacl FROM pg_database WHERE m.classid = 'pg_database'::regclass AND oid = m.objid
        UNION ALL
        SELECT spcacl FROM pg_tablespace WHERE m.classid = 'pg_tablespace'::regclass AND oid = m.objid
        UNION ALL
        SELECT lomacl FROM pg_largeobject_metadata WHERE m.classid = 'pg_largeobject'::regclass AND oid = m.objid
    ) AS object (acl)
    CROSS JOIN LATERAL aclexplode(object.acl) AS e
    WHERE m.theirs AND m.deptype = 'a' AND e.grantee = m.role
), held AS (
    SELECT g.*, CASE g.classid
        WHEN 'pg_class'::regclass THEN CASE
            WHEN g.objsubid <> 0 THEN has_column_privilege(m.oid, g.objid, g.objsubid::int2, wanted)
            WHEN EXISTS (SELECT FROM pg_class WHERE oid = g.objid AND relkind = 'S')
                THEN has_sequence_privilege(m.oid, g.objid, wanted)
            ELSE has_table_privilege(m.oid, g.objid, wanted)
        END
        WHEN 'pg_namespace'::regclass THEN has_schema_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_proc'::regclass THEN has_function_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_type'::regclass THEN has_type_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_language'::regclass THEN has_language_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_foreign_data_wrapper'::regclass THEN has_foreign_data_wrapper_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_foreign_server'::regclass THEN has_server_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_database'::regclass THEN has_database_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_tablespace'::regclass THEN has_tablespace_privilege(m.oid, g.objid, wanted)
        WHEN 'pg_largeobject'::regclass THEN EXISTS (
            SELECT FROM pg_largeobject_metadata AS l CROSS JOIN LATERAL aclexplode(l.lomacl) AS e
            WHERE l.oid = g.objid AND e.privilege_type = g.privilege AND (e.is_grantable OR NOT g.grantable)
              AND (e.grantee = 0 OR pg_has_role(m.oid, e.grantee, 'USAGE'))
        )
    END AS held
    FROM granted AS g
    CROSS JOIN mine AS m
    CROSS JOIN LATERAL (
        SELECT g.privilege || CASE WHEN g.grantable THEN ' WITH GRANT OPTION' ELSE '' END AS wanted
    ) AS w
), missing AS (
    SELECT 1 AS rank, 'owner' AS what, classid, objid, objsubid,
           NULL AS privilege, false AS grantable, NULL AS name
    FROM mention
    WHERE theirs AND deptype = 'o' AND classid NOT IN ('pg_user_mapping'::regclass, 'pg_default_acl'::regclass)
    UNION ALL
    SELECT 2, 'privilege', classid, objid, objsubid, privilege, grantable, NULL FROM held WHERE NOT held
    UNION ALL
    -- A permissive policy that shows rows to them, or a restrictive one that hides rows from us.
    SELECT DISTINCT 3, 'policy', m.classid, m.objid, 0,
           CASE WHEN p.polpermissive THEN 'permissive' ELSE 'restrictive' END, false,
           (SELECT string_agg(quote_ident(r.rolname), ', ') FROM pg_roles AS r WHERE r.oid = ANY(p.polroles))
    FROM mention AS m JOIN pg_policy AS p ON p.oid = m.objid, mine, them AS t
    WHERE m.deptype = 'r' AND m.classid = 'pg_policy'::regclass AND p.polpermissive = m.theirs
      AND NOT EXISTS (
          SELECT FROM unnest(p.polroles) AS r (oid)
          WHERE r.oid = 0 OR pg_has_role(CASE WHEN p.polpermissive THEN mine.oid ELSE t.acts_as END, r.oid, 'USAGE')
      )
    UNION ALL
    SELECT 4, 'mapping', m.classid, m.objid, 0, s.usename::text, false, s.srvname
    FROM mention AS m JOIN pg_user_mappings AS s ON s.umid = m.objid, mine
    WHERE m.theirs AND m.deptype = 'o' AND m.classid = 'pg_user_mapping'::regclass AND s.umuser <> 0
      AND NOT EXISTS (SELECT FROM pg_user_mappings AS o WHERE o.srvid = s.srvid AND o.umuser IN (mine.oid, 0))
    UNION ALL
    SELECT DISTINCT 5, 'default', classid, objid, 0, NULL, false, NULL
    FROM mention
    WHERE theirs AND classid = 'pg_default_acl'::regclass
    UNION ALL
    SELECT 6, 'member', NULL, NULL, NULL, NULL, false, r.rolname
    FROM (SELECT oid FROM their_reach EXCEPT SELECT oid FROM our_reach) AS d JOIN pg_roles AS r USING (oid), us, them
    WHERE r.oid NOT IN (us.oid, them.oid)
    UNION ALL
    -- pg_shdepend has no rows for the roles that initdb creates.
    SELECT 6, 'inherited-role', NULL, NULL, NULL, NULL, false, r.rolname
    FROM (SELECT oid FROM their_roles EXCEPT SELECT oid FROM our_roles) AS d JOIN pg_roles AS r USING (oid)
    WHERE r.oid < 16384
    UNION ALL
    SELECT 6, 'inherited-role', NULL, NULL, NULL, NULL, true, r.rolname
    FROM (SELECT oid FROM their_admin EXCEPT SELECT oid FROM our_admin) AS d JOIN pg_roles AS r USING (oid), us, them
    WHERE r.oid NOT IN (us.oid, them.oid)
    UNION ALL
    SELECT 7, 'attribute', NULL, NULL, NULL, NULL, false, a.name
    FROM us, them, mine,
         pg_roles AS theirs, pg_roles AS ours, pg_roles AS their_actor, pg_roles AS our_actor,
         LATERAL (VALUES
             ('SUPERUSER', their_actor.rolsuper AND NOT our_actor.rolsuper),
             ('CREATEROLE', their_actor.rolcreaterole AND NOT our_actor.rolcreaterole),
             ('CREATEDB', their_actor.rolcreatedb AND NOT our_actor.rolcreatedb),
             ('BYPASSRLS', their_actor.rolbypassrls AND NOT our_actor.rolbypassrls),
             ('REPLICATION', theirs.rolreplication AND NOT ours.rolreplication),
             ('CONNECTION LIMIT ' || theirs.rolconnlimit,
                 ours.rolconnlimit >= 0 AND (theirs.rolconnlimit < 0 OR theirs.rolconnlimit > ours.rolconnlimit)),
             ('VALID UNTIL ''' || COALESCE(theirs.rolvaliduntil::text, 'infinity') || '''',
                 COALESCE(theirs.rolvaliduntil, 'infinity') > COALESCE(ours.rolvaliduntil, 'infinity'))
         ) AS a (name, lacking)
    WHERE theirs.oid = them.oid AND ours.oid = us.oid
      AND their_actor.oid = them.acts_as AND our_actor.oid = mine.oid AND a.lacking
    UNION ALL
    SELECT 8, 'setting', NULL, NULL, NULL, NULL, false,
           name || COALESCE(' in database ' || quote_ident(d.datname), '')
    FROM (SELECT s.* FROM setting AS s JOIN them ON s.setrole = them.oid) AS theirs
    FULL JOIN (SELECT s.* FROM setting AS s JOIN us ON s.setrole = us.oid) AS ours USING (setdatabase, name)
    LEFT JOIN pg_database AS d ON d.oid = setdatabase
    WHERE theirs.value IS DISTINCT FROM ours.value AND name <> 'role'
), example AS (
    SELECT m.*, row_number() OVER () AS place
    FROM (SELECT * FROM missing ORDER BY rank, classid, objid, objsubid, privilege, name LIMIT $2::int8) AS m
), directly_owned AS (
    -- Objects that belong to one of the two users itself, and not to the other.
    SELECT l.name AS role,
           count(*) FILTER (WHERE d.dbid IN (0, server.database)) AS here,
           count(*) FILTER (WHERE d.dbid NOT IN (0, server.database)) AS elsewhere
    FROM login AS l
    JOIN mine AS m ON l.oid <> m.oid
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = l.oid AND d.deptype = 'o', server
    WHERE d.classid NOT IN ('pg_user_mapping'::regclass, 'pg_default_acl'::regclass)
    GROUP BY l.name
), ineffective_grants AS (
    SELECT l.name AS role, count(*) AS grants
    FROM login AS l
    JOIN mine AS m ON l.oid <> m.oid AND l.acts_as <> l.oid
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = l.oid AND d.deptype = 'a'
    GROUP BY l.name
)
SELECT json_build_object(
    'current_exists', EXISTS (SELECT FROM them),
    'wanted', (SELECT wanted FROM us),
    'current_wanted', (SELECT wanted FROM them),
    'total', (SELECT count(*) FROM missing),
    'missing', (
        SELECT COALESCE(json_agg(json_build_object(
            'what', e.what,
            'privilege', e.privilege,
            'grantable', e.grantable,
            'name', e.name,
            'type', i.type,
            'identity', i.identity,
            'column', (
                SELECT quote_ident(attname) FROM pg_attribute
                WHERE attrelid = e.objid AND attnum = e.objsubid AND e.objsubid <> 0
            ),
            'table', (
                SELECT format('%I.%I', n.nspname, c.relname)
                FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                WHERE c.oid = e.objid AND e.objsubid <> 0
            )
        ) ORDER BY place), '[]')
        FROM example AS e
        LEFT JOIN LATERAL pg_identify_object(e.classid, e.objid, e.objsubid) AS i ON e.classid IS NOT NULL
    ),
    'directly_owned', (
        SELECT COALESCE(
            json_agg(json_build_object('role', role, 'here', here, 'elsewhere', elsewhere) ORDER BY role), '[]'
        ) FROM directly_owned
    ),
    'ineffective_grants', (
        SELECT COALESCE(json_agg(json_build_object('role', role, 'grants', grants) ORDER BY role), '[]')
        FROM ineffective_grants
    ),
    'acts_as', CURRENT_USER
)::text
