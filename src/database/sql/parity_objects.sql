-- What the one user can do in this database and the other cannot, as one JSON object. parity.sql finds the roles.
-- $1 the user that can, $2 the role that it acts as, $3 the role that the other one acts as
-- $4 the roles whose rights the first has, $5 those whose rights the other has, $6 those it must not be granted
-- $7 the number of differences to describe, or NULL for all
WITH
-- shared: setting
setting AS (
    -- This splits bytes: a session of another encoding may have set what is no text here.
    SELECT s.setrole, s.setdatabase, o.option_name AS name, o.option_value AS value
    FROM pg_db_role_setting AS s CROSS JOIN pg_options_to_table(s.setconfig) AS o
),
-- end of shared
here AS (
    SELECT oid, datname, datdba FROM pg_database WHERE datname = current_database()
), party AS MATERIALIZED (
    SELECT oid, bool_or(theirs) AS theirs, bool_or(ours) AS ours
    FROM (
        SELECT unnest($4::oid[]), true, false
        UNION ALL
        SELECT unnest($5::oid[]), false, true
        UNION ALL
        -- From PostgreSQL 14 on, its owner is a member without a grant.
        SELECT o.oid, here.datdba = ANY ($4::oid[]), here.datdba = ANY ($5::oid[])
        FROM here JOIN pg_roles AS o ON o.rolname = 'pg_database_owner'
        UNION ALL
        -- PUBLIC's rights are the same for both.
        SELECT 0, true, true
    ) AS p (oid, theirs, ours)
    GROUP BY oid
), mention AS MATERIALIZED (
    -- pg_shdepend leads from a role to all objects that mention it, so that no other object is read.
    SELECT d.classid, d.objid, d.objsubid, d.deptype, p.oid AS role, p.theirs, p.oid IN ($1::oid, $2::oid) AS own
    FROM party AS p
    JOIN pg_shdepend AS d ON d.refclassid = 'pg_authid'::regclass AND d.refobjid = p.oid
    CROSS JOIN here
    WHERE p.theirs <> p.ours AND d.dbid = here.oid AND d.deptype IN ('o', 'a', 'r')
), granted AS MATERIALIZED (
    SELECT DISTINCT classid, objid, objsubid FROM mention WHERE deptype = 'a' AND theirs
), acl AS (
    -- With a column's grant, the table's grants count too: a right on the table is one on each column.
    SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, 0 AS objsubid, c.relowner AS owner, c.relacl AS acl
    FROM pg_class AS c
    WHERE c.oid IN (SELECT objid FROM granted WHERE classid = 'pg_class'::regclass)
    UNION ALL
    SELECT g.classid, g.objid, g.objsubid, c.relowner, a.attacl
    FROM granted AS g
    JOIN pg_attribute AS a ON a.attrelid = g.objid AND a.attnum = g.objsubid
    JOIN pg_class AS c ON c.oid = g.objid
    WHERE g.classid = 'pg_class'::regclass AND g.objsubid <> 0
    UNION ALL
    SELECT 'pg_namespace'::regclass, oid, 0, nspowner, nspacl
    FROM pg_namespace WHERE oid IN (SELECT objid FROM granted WHERE classid = 'pg_namespace'::regclass)
    UNION ALL
    SELECT 'pg_proc'::regclass, oid, 0, proowner, proacl
    FROM pg_proc WHERE oid IN (SELECT objid FROM granted WHERE classid = 'pg_proc'::regclass)
    UNION ALL
    SELECT 'pg_type'::regclass, oid, 0, typowner, typacl
    FROM pg_type WHERE oid IN (SELECT objid FROM granted WHERE classid = 'pg_type'::regclass)
    UNION ALL
    SELECT 'pg_language'::regclass, oid, 0, lanowner, lanacl
    FROM pg_language WHERE oid IN (SELECT objid FROM granted WHERE classid = 'pg_language'::regclass)
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, oid, 0, fdwowner, fdwacl
    FROM pg_foreign_data_wrapper
    WHERE oid IN (SELECT objid FROM granted WHERE classid = 'pg_foreign_data_wrapper'::regclass)
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, oid, 0, srvowner, srvacl
    FROM pg_foreign_server WHERE oid IN (SELECT objid FROM granted WHERE classid = 'pg_foreign_server'::regclass)
    UNION ALL
    SELECT 'pg_largeobject'::regclass, oid, 0, lomowner, lomacl
    FROM pg_largeobject_metadata WHERE oid IN (SELECT objid FROM granted WHERE classid = 'pg_largeobject'::regclass)
), everywhere AS MATERIALIZED (
    -- The rights of predefined roles on every table and schema.
    SELECT a.classid, a.privilege
    FROM (VALUES
        ('pg_read_all_data', 'pg_class'::regclass, 'SELECT'), ('pg_read_all_data', 'pg_namespace'::regclass, 'USAGE'),
        ('pg_write_all_data', 'pg_class'::regclass, 'INSERT'), ('pg_write_all_data', 'pg_class'::regclass, 'UPDATE'),
        ('pg_write_all_data', 'pg_class'::regclass, 'DELETE'),
        ('pg_write_all_data', 'pg_namespace'::regclass, 'USAGE'), ('pg_maintain', 'pg_class'::regclass, 'MAINTAIN')
    ) AS a (role, classid, privilege)
    JOIN pg_roles AS r ON r.rolname = a.role
    JOIN party AS p ON p.oid = r.oid AND p.ours
), entry AS (
    -- IN stays a hash look-up however wrong the planner's estimates are. A join might not.
    SELECT a.classid, a.objid, a.objsubid, e.grantee, e.privilege_type AS privilege, e.is_grantable,
           e.grantee IN (SELECT oid FROM party WHERE theirs) AS theirs,
           e.grantee IN (SELECT oid FROM party WHERE ours) AS ours,
           -- An owner may grant its rights.
           e.is_grantable OR a.owner IN (SELECT oid FROM party WHERE ours) AS grantable
    FROM acl AS a CROSS JOIN LATERAL aclexplode(a.acl) AS e
), held AS (
    SELECT e.*,
           bool_or(ours) OVER same AS has,
           bool_or(ours AND grantable) OVER same AS has_grantable,
           -- A right on the table is one on each column.
           bool_or(ours AND objsubid = 0) OVER whole AS has_whole,
           bool_or(ours AND objsubid = 0 AND grantable) OVER whole AS has_whole_grantable
    FROM entry AS e
    WHERE theirs OR ours
    WINDOW same AS (PARTITION BY classid, objid, privilege, objsubid), whole AS (PARTITION BY classid, objid, privilege)
), lacking AS MATERIALIZED (
    SELECT classid, objid, objsubid, privilege, is_grantable AS grantable, grantee AS role
    FROM held
    WHERE theirs AND NOT ours
      AND CASE WHEN is_grantable THEN NOT (has_grantable OR has_whole_grantable)
               ELSE NOT (has OR has_whole OR (classid, privilege) IN (SELECT classid, privilege FROM everywhere)) END
), owned AS MATERIALIZED (
    -- The sequence of a serial or identity column follows its table.
    SELECT m.classid, m.objid, m.role
    FROM mention AS m
    WHERE m.theirs AND m.deptype = 'o'
      AND m.classid NOT IN ('pg_user_mapping'::regclass, 'pg_default_acl'::regclass)
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d
          WHERE d.classid = m.classid AND d.objid = m.objid AND d.deptype IN ('a', 'i')
            AND m.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid <> 0
      )
), policy AS MATERIALIZED (
    -- A permissive policy that shows rows to them, or a restrictive one that hides rows from us.
    SELECT DISTINCT p.oid, p.polpermissive AS permissive, p.polroles AS roles
    FROM mention AS m
    JOIN pg_policy AS p ON p.oid = m.objid
    WHERE m.classid = 'pg_policy'::regclass AND m.deptype = 'r' AND p.polpermissive = m.theirs
      AND NOT EXISTS (
          SELECT FROM party AS r
          WHERE r.oid = ANY (p.polroles) AND CASE WHEN p.polpermissive THEN r.ours ELSE r.theirs END
      )
), creator AS (
    -- The roles that have default privileges of their own, and what these are on.
    SELECT defaclrole AS oid, defaclobjtype AS type FROM pg_default_acl
    UNION
    SELECT c.oid, d.defaclobjtype
    FROM pg_default_acl AS d CROSS JOIN unnest(ARRAY[$2::oid, $3::oid]) AS c (oid)
    WHERE d.defaclrole IN ($2::oid, $3::oid)
), defaults AS MATERIALIZED (
    -- Who can use what a role creates later: in every schema (namespace 0), and beyond that in one.
    -- Where a role has no default privileges for every schema, PostgreSQL's own apply.
    SELECT d.creator, d.type, d.namespace, e.grantee, e.privilege_type AS privilege, e.is_grantable AS grantable
    FROM (
        SELECT defaclrole, defaclobjtype, defaclnamespace, defaclacl FROM pg_default_acl
        UNION ALL
        SELECT oid, type, 0, acldefault(CASE type WHEN 'S' THEN 's' ELSE type END, oid)
        FROM creator
        WHERE (oid, type) NOT IN (
            SELECT defaclrole, defaclobjtype FROM pg_default_acl WHERE defaclnamespace = 0
        )
    ) AS d (creator, type, namespace, acl)
    CROSS JOIN LATERAL aclexplode(d.acl) AS e
), by_creator AS (
    -- The default privileges that both creators give: to the same grantee or PUBLIC, in the same or every schema.
    SELECT d.*, CASE d.creator WHEN $2::oid THEN us_all ELSE them_all END AS other,
           CASE d.creator WHEN $2::oid THEN us_grantable ELSE them_grantable END AS other_grantable
    FROM (
        SELECT d.*,
               bool_or(creator = $3::oid) OVER same OR bool_or(creator = $3::oid AND namespace = 0) OVER of_grantee
               OR bool_or(creator = $3::oid AND grantee = 0) OVER of_schema
               OR bool_or(creator = $3::oid AND grantee = 0 AND namespace = 0) OVER of_type AS us_all,
               bool_or(creator = $3::oid AND grantable) OVER same
               OR bool_or(creator = $3::oid AND namespace = 0 AND grantable) OVER of_grantee AS us_grantable,
               bool_or(creator = $2::oid) OVER same OR bool_or(creator = $2::oid AND namespace = 0) OVER of_grantee
               AS them_all,
               false AS them_grantable
        FROM (
            -- What one creator can do with its objects, the other must be able to do with its own.
            SELECT creator, type, namespace, CASE grantee WHEN creator THEN $3::oid ELSE grantee END AS grantee,
                   privilege, grantable
            FROM defaults
            WHERE creator IN ($2::oid, $3::oid)
        ) AS d
        WINDOW of_type AS (PARTITION BY type, privilege), of_schema AS (PARTITION BY type, privilege, namespace),
               of_grantee AS (PARTITION BY type, privilege, grantee),
               same AS (PARTITION BY type, privilege, grantee, namespace)
    ) AS d
), by_others AS (
    SELECT d.*,
           bool_or(ours) OVER of_schema OR bool_or(ours AND namespace = 0) OVER of_creator AS has,
           bool_or(ours AND grantable) OVER of_schema
           OR bool_or(ours AND grantable AND namespace = 0) OVER of_creator AS has_grantable
    FROM (
        SELECT d.*,
               grantee IN (SELECT oid FROM party WHERE theirs) AS theirs,
               grantee IN (SELECT oid FROM party WHERE ours) AS ours
        FROM defaults AS d
        WHERE creator NOT IN ($2::oid, $3::oid) AND creator NOT IN (SELECT oid FROM party WHERE ours)
    ) AS d
    WHERE theirs OR ours
    WINDOW of_creator AS (PARTITION BY creator, type, privilege),
           of_schema AS (PARTITION BY creator, type, privilege, namespace)
), default_lacking AS MATERIALIZED (
    -- What other roles can do with their objects, and not with ours.
    SELECT $3::oid AS creator, d.type, d.namespace, d.grantee, d.privilege, d.grantable, true AS missing
    FROM by_creator AS d
    WHERE creator = $2::oid AND NOT CASE WHEN grantable THEN other_grantable ELSE other END
      -- A grantee also has what its roles have, and all where our objects are its own.
      AND NOT EXISTS (
          SELECT FROM defaults AS o
          WHERE o.creator = $3::oid AND o.type = d.type AND o.privilege = d.privilege
            AND o.namespace IN (0, d.namespace) AND (o.grantable OR NOT d.grantable OR o.grantee = $3::oid)
            AND CASE WHEN 0 IN (d.grantee, o.grantee) THEN false ELSE pg_has_role(d.grantee, o.grantee, 'USAGE') END
      )
    UNION ALL
    -- What every role can do with our objects, and not with theirs.
    SELECT $3::oid, type, namespace, grantee, privilege, grantable, false
    FROM by_creator
    WHERE creator = $3::oid AND grantee = 0 AND NOT other
    UNION ALL
    -- What they can do with the objects of others, and we cannot.
    SELECT creator, type, namespace, grantee, privilege, grantable, true
    FROM by_others
    WHERE theirs AND NOT ours AND NOT CASE WHEN grantable THEN has_grantable ELSE has END
), path AS (
    -- The schemas in which the first user's sessions look up names. A person runs a statement with this list: it has
    -- to be quoted again, since SET ... FROM CURRENT stores it as the role wrote it, and a name may hold a statement.
    SELECT ARRAY(
        SELECT COALESCE(replace(part[1], '""', '"'), lower(part[2] COLLATE "C"))
        FROM regexp_matches(list, '"((?:[^"]|"")*)"|([^[:space:],"][^[:space:],]*)', 'g') WITH ORDINALITY AS p (part, n)
        ORDER BY n
    ) AS names
    FROM here CROSS JOIN LATERAL (
        SELECT COALESCE(
            (
                SELECT s.value FROM setting AS s
                WHERE s.name = 'search_path' AND s.setrole IN ($1::oid, 0) AND s.setdatabase IN (here.oid, 0)
                ORDER BY s.setrole = 0, s.setdatabase = 0
                LIMIT 1
            ),
            (SELECT reset_val FROM pg_settings WHERE name = 'search_path')
        ) AS list
    ) AS written
), missing AS MATERIALIZED (
    SELECT 1 AS rank, 'owner' AS what, classid, objid, 0 AS objsubid,
           NULL AS privilege, false AS grantable, r.rolname AS name, NULL AS schema, NULL AS objects, NULL AS other
    FROM owned JOIN pg_roles AS r ON r.oid = owned.role
    WHERE owned.role IN ($1::oid, $2::oid)
    UNION ALL
    SELECT 2, 'privilege', classid, objid, objsubid, privilege, grantable, NULL, NULL, NULL, NULL
    FROM lacking
    WHERE role IN ($1::oid, $2::oid)
    UNION ALL
    SELECT 3, CASE WHEN permissive THEN 'policy' ELSE 'restrictive-policy' END, 'pg_policy'::regclass, oid, 0,
           NULL, false,
           (
               SELECT string_agg(quote_ident(r.rolname), ', ' ORDER BY r.rolname)
               FROM pg_roles AS r WHERE r.oid = ANY (roles)
           ), NULL, NULL, NULL
    FROM policy
    UNION ALL
    -- Only the role that a session acts as counts for a mapping.
    SELECT 4, 'mapping', 'pg_user_mapping'::regclass, t.umid, 0, NULL, false, t.srvname, NULL, NULL, t.usename
    FROM pg_user_mappings AS t
    WHERE t.umuser = $2::oid
      AND NOT EXISTS (SELECT FROM pg_user_mappings AS o WHERE o.srvid = t.srvid AND o.umuser IN ($3::oid, 0))
    UNION ALL
    SELECT 5, CASE WHEN d.missing THEN 'default' ELSE 'surplus-default' END, 'pg_authid'::regclass, $2::oid, 0,
           d.privilege, d.grantable, c.rolname, n.nspname,
           CASE d.type
               WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'ROUTINES' WHEN 'T' THEN 'TYPES'
               WHEN 'n' THEN 'SCHEMAS' WHEN 'L' THEN 'LARGE OBJECTS'
           END,
           CASE WHEN d.creator = $3::oid THEN g.rolname ELSE (SELECT rolname FROM pg_roles WHERE oid = $3::oid) END
    FROM default_lacking AS d
    JOIN pg_roles AS c ON c.oid = d.creator
    LEFT JOIN pg_roles AS g ON g.oid = d.grantee
    LEFT JOIN pg_namespace AS n ON n.oid = d.namespace
    WHERE d.creator = $3::oid OR d.grantee IN ($1::oid, $2::oid)
    UNION ALL
    -- One membership instead of each right that it gives.
    SELECT 6, 'inherited-role', 'pg_authid'::regclass, r.oid, 0, NULL, false, r.rolname, NULL, NULL, NULL
    FROM pg_roles AS r
    WHERE r.oid IN (
        SELECT role FROM owned
        UNION
        SELECT role FROM lacking
        UNION
        SELECT grantee FROM default_lacking WHERE missing AND creator <> $3::oid
    ) AND r.oid NOT IN ($1::oid, $2::oid) AND r.rolname <> 'pg_database_owner'
    UNION ALL
    SELECT 7, 'path', 'pg_namespace'::regclass, n.oid, 0, NULL, false, l.rolname, NULL, here.datname,
           (
               SELECT string_agg(
                   quote_ident(CASE name WHEN '$user' THEN a.rolname::text ELSE name END), ', ' ORDER BY place
               )
               FROM unnest(names) WITH ORDINALITY AS p (name, place)
           )
    FROM path, here, pg_roles AS l, pg_roles AS a
    JOIN pg_namespace AS n ON n.nspname = a.rolname
    WHERE l.oid = $1::oid AND a.oid = $2::oid AND '$user' = ANY (names)
), example AS (
    SELECT m.*, row_number() OVER () AS place
    FROM (
        SELECT * FROM missing
        ORDER BY rank, classid, objid, objsubid, privilege, name, schema, objects, other
        LIMIT $7::int8
    ) AS m
)
SELECT json_build_object(
    'total', (SELECT count(*) FROM missing),
    'missing', (
        SELECT COALESCE(json_agg(json_build_object(
            'what', e.what,
            'privilege', e.privilege,
            'grantable', e.grantable,
            'name', e.name,
            'schema', e.schema,
            'objects', e.objects,
            'other', e.other,
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
            ),
            'ungrantable', e.what = 'inherited-role' AND e.objid = ANY ($6::oid[])
        ) ORDER BY place), '[]')
        FROM example AS e
        LEFT JOIN LATERAL pg_identify_object(e.classid, e.objid, e.objsubid) AS i ON e.classid IS NOT NULL
    )
)::text
