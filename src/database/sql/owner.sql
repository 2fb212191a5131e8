-- The facts for making a role an owner role, as one JSON object. Another role then logs in in its place.
-- $1 the role, $2 the role that logs in, $3 the secret's current user, $4 the number of objects to name
WITH
-- shared: setting
setting AS (
    -- This splits bytes: a session of another encoding may have set what is no text here.
    SELECT s.setrole, s.setdatabase, o.option_name AS name, o.option_value AS value
    FROM pg_db_role_setting AS s CROSS JOIN pg_options_to_table(s.setconfig) AS o
),
-- end of shared
owner AS (
    SELECT oid FROM pg_roles WHERE rolname = $1::text
), own AS (
    -- The settings of the current user that the role that logs in gets. Its "role" setting is set apart.
    SELECT s.name FROM setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
    WHERE r.rolname = $3::text AND NOT (s.setdatabase = 0 AND s.name = 'role')
), relation AS (
    SELECT c.oid
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
), asking AS MATERIALIZED (
    -- Whatever in this database asks who has logged in (session_user, or system_user of PostgreSQL 16), rather than who
    -- acts. Expressions are searched as they are stored: to have them written out would lock their tables.
    SELECT classid, objid
    FROM (
        SELECT 'pg_policy'::regclass AS classid, oid AS objid, concat(polqual::text, polwithcheck::text) AS stored
        FROM pg_policy
        UNION ALL
        SELECT 'pg_class'::regclass, ev_class, concat(ev_qual::text, ev_action::text)
        FROM pg_rewrite JOIN relation AS r ON r.oid = ev_class
        UNION ALL
        SELECT 'pg_attrdef'::regclass, d.oid, d.adbin::text
        FROM pg_attrdef AS d JOIN relation AS r ON r.oid = d.adrelid
        UNION ALL
        SELECT 'pg_constraint'::regclass, c.oid, c.conbin::text
        FROM pg_constraint AS c JOIN relation AS r ON r.oid = c.conrelid
        WHERE c.contype = 'c'
        UNION ALL
        SELECT 'pg_trigger'::regclass, t.oid, t.tgqual::text
        FROM pg_trigger AS t JOIN relation AS r ON r.oid = t.tgrelid
    ) AS expression
    WHERE stored ~ 'SQLVALUEFUNCTION :op 12 |:funcid 6311 '
    UNION
    SELECT 'pg_proc'::regclass, p.oid
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
      AND p.prosrc ~* '\m(session_user|system_user)\M'
), named AS (
    SELECT i.type || ' ' || i.identity AS name
    FROM (SELECT * FROM asking ORDER BY classid, objid LIMIT $4::int8) AS a
    CROSS JOIN LATERAL pg_identify_object(a.classid, a.objid, 0) AS i
)
SELECT json_build_object(
    'version', current_setting('server_version_num')::int,
    'exists', EXISTS (SELECT FROM owner),
    'login_exists', EXISTS (SELECT FROM pg_roles WHERE rolname = $2::text),
    'login_acts', EXISTS (
        SELECT FROM setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
        WHERE r.rolname = $2::text AND s.setdatabase = 0 AND s.name = 'role' AND s.value = $1::text
    ),
    'acts_as', COALESCE(
        (
            SELECT NULLIF(s.value, 'none') FROM setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole
            LEFT JOIN pg_database AS d ON d.oid = s.setdatabase
            WHERE s.name = 'role' AND (s.setrole = 0 OR r.rolname = $3::text)
              AND (s.setdatabase = 0 OR d.datname = current_database())
            ORDER BY s.setrole = 0, s.setdatabase = 0
            LIMIT 1
        ), $3::text
    ),
    'superuser', COALESCE((SELECT bool_or(rolsuper) FROM pg_roles WHERE rolname IN ($1::text, $3::text)), false),
    'replication', COALESCE((SELECT rolreplication FROM pg_roles WHERE rolname = $3::text), false),
    'connection_limit', COALESCE((SELECT rolconnlimit FROM pg_roles WHERE rolname = $3::text), -1),
    'valid_until', (SELECT rolvaliduntil::text FROM pg_roles WHERE rolname = $3::text),
    'settings', EXISTS (SELECT FROM own),
    'asking', ARRAY(SELECT name FROM named),
    'asking_total', (SELECT count(*) FROM asking),
    'other_databases', ARRAY(
        SELECT DISTINCT d.datname
        FROM pg_shdepend AS s JOIN owner AS o ON o.oid = s.refobjid JOIN pg_database AS d ON d.oid = s.dbid
        WHERE s.refclassid = 'pg_authid'::regclass AND d.datname <> current_database()
        ORDER BY 1
        LIMIT $4::int8
    ),
    'subscriptions', (
        SELECT count(*) FROM pg_shdepend AS s JOIN owner AS o ON o.oid = s.refobjid
        WHERE s.refclassid = 'pg_authid'::regclass AND s.classid = 'pg_subscription'::regclass AND s.deptype = 'o'
    )
)::text
