-- The checks $1 that this session's role does not pass, as one JSON object.
-- $1 a JSON array, see policy::check::Check
-- $2 the application's search_path, which finds names without a schema
-- $3 the oids of the types of functions' arguments
-- $4 the number of missing rights to describe
-- grants_parameters.sql checks privileges on parameters.
WITH
-- shared: server
server AS (
    -- PostgreSQL 16 split the right to act as a role from membership, under a name that older servers refuse.
    SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END AS act,
           (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
),
-- end of shared
item AS (
    SELECT i.n,
           c ->> 'kind' AS kind,
           c ->> 'schema' AS schema,
           c ->> 'name' AS name,
           c -> 'arguments' AS arguments,
           c ->> 'column' AS column_name,
           c ->> 'privilege' AS privilege,
           (c ->> 'grantable')::bool AS grantable,
           (c ->> 'implied')::bool AS implied,
           (c ->> 'privilege') || CASE WHEN (c ->> 'grantable')::bool THEN ' WITH GRANT OPTION' ELSE '' END AS wanted,
           CASE
               WHEN c ->> 'privilege' = 'MAINTAIN' AND current_setting('server_version_num')::int < 170000 THEN '17'
               WHEN c ->> 'kind' = 'parameter' AND current_setting('server_version_num')::int < 150000 THEN '15'
           END AS since
    FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS i (c, n)
), named AS (
    SELECT DISTINCT kind, schema, name, arguments FROM item WHERE since IS NULL
), place AS (
    SELECT n.oid AS namespace, n.nspname AS schema, array_position($2::text[], n.nspname::text) AS place
    FROM pg_namespace AS n
), candidate AS (
    SELECT t.*, o.classid, o.objid, o.namespace, o.place
    FROM named AS t CROSS JOIN LATERAL (
        SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, p.namespace, p.place
        FROM pg_class AS c JOIN place AS p ON p.namespace = c.relnamespace
        WHERE c.relname = t.name
          AND (
              t.kind = 'table' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
              OR t.kind = 'sequence' AND c.relkind = 'S'
          )
          AND (p.schema = t.schema OR t.schema IS NULL AND p.place IS NOT NULL)
        UNION ALL
        SELECT 'pg_class'::regclass, c.oid, p.namespace, NULL
        FROM pg_class AS c JOIN place AS p ON p.namespace = c.relnamespace
        WHERE t.name IS NULL AND p.schema = t.schema
          AND (t.kind = 'table' AND c.relkind IN ('r', 'p', 'v', 'm', 'f') OR t.kind = 'sequence' AND c.relkind = 'S')
        UNION ALL
        SELECT 'pg_proc'::regclass, f.oid, p.namespace, p.place
        FROM pg_proc AS f JOIN place AS p ON p.namespace = f.pronamespace
        WHERE (t.kind = 'routine' OR t.kind = CASE f.prokind WHEN 'p' THEN 'procedure' ELSE 'function' END)
          AND (f.proname = t.name OR t.name IS NULL)
          AND (p.schema = t.schema OR t.schema IS NULL AND p.place IS NOT NULL)
          AND (
              t.arguments IS NULL OR t.arguments = 'null'
              OR f.pronargs = jsonb_array_length(t.arguments) AND NOT EXISTS (
                  SELECT FROM unnest(f.proargtypes) WITH ORDINALITY AS a (type, n)
                  WHERE ($3::jsonb ->> (t.arguments ->> (a.n - 1)::int))::oid IS DISTINCT FROM a.type
              )
          )
        UNION ALL
        SELECT 'pg_type'::regclass, y.oid, p.namespace, p.place
        FROM pg_type AS y JOIN place AS p ON p.namespace = y.typnamespace
        WHERE t.kind = 'type' AND y.typname = t.name
          AND (p.schema = t.schema OR t.schema IS NULL AND p.place IS NOT NULL)
        UNION ALL
        SELECT 'pg_namespace'::regclass, oid, NULL, NULL FROM pg_namespace
        WHERE t.kind = 'schema' AND nspname = t.name
        UNION ALL
        SELECT 'pg_database'::regclass, oid, NULL, NULL FROM pg_database
        WHERE t.kind = 'database' AND datname = t.name
        UNION ALL
        SELECT 'pg_language'::regclass, oid, NULL, NULL FROM pg_language
        WHERE t.kind = 'language' AND lanname = t.name
        UNION ALL
        SELECT 'pg_foreign_server'::regclass, oid, NULL, NULL FROM pg_foreign_server
        WHERE t.kind = 'server' AND srvname = t.name
        UNION ALL
        SELECT 'pg_foreign_data_wrapper'::regclass, oid, NULL, NULL FROM pg_foreign_data_wrapper
        WHERE t.kind = 'wrapper' AND fdwname = t.name
        UNION ALL
        SELECT 'pg_tablespace'::regclass, oid, NULL, NULL FROM pg_tablespace
        WHERE t.kind = 'tablespace' AND spcname = t.name
        UNION ALL
        SELECT 'pg_largeobject'::regclass, oid, NULL, NULL FROM pg_largeobject_metadata
        WHERE t.kind = 'large-object' AND oid::text = t.name
        UNION ALL
        SELECT 'pg_authid'::regclass, oid, NULL, NULL FROM pg_roles
        WHERE t.kind = 'role' AND rolname = t.name
    ) AS o
), object AS (
    -- Of those without a schema, the one that comes first.
    SELECT *
    FROM (SELECT *, min(place) OVER (PARTITION BY kind, schema, name, arguments) AS first FROM candidate) AS c
    WHERE place IS NOT DISTINCT FROM first
), target AS (
    SELECT i.*, o.classid, o.objid, o.namespace, c.relkind,
           (
               SELECT a.attnum FROM pg_attribute AS a
               WHERE a.attrelid = o.objid AND a.attname = i.column_name AND NOT a.attisdropped
           ) AS attnum
    FROM item AS i
    JOIN object AS o
      ON o.kind = i.kind AND o.schema IS NOT DISTINCT FROM i.schema AND o.name IS NOT DISTINCT FROM i.name
     AND o.arguments IS NOT DISTINCT FROM i.arguments
    LEFT JOIN pg_class AS c ON o.classid = 'pg_class'::regclass AND c.oid = o.objid
    WHERE i.since IS NULL
), held AS (
    SELECT t.*, CASE t.kind
        WHEN 'sequence' THEN has_sequence_privilege(t.objid, t.wanted)
        WHEN 'table' THEN CASE
            WHEN t.column_name IS NOT NULL THEN has_column_privilege(t.objid, t.attnum, t.wanted)
            ELSE has_table_privilege(t.objid, t.wanted)
                OR t.privilege IN ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                -- As good as the whole table.
                AND COALESCE((
                    SELECT bool_and(has_column_privilege(t.objid, a.attnum, t.wanted)) FROM pg_attribute AS a
                    WHERE a.attrelid = t.objid AND a.attnum > 0 AND NOT a.attisdropped
                ), false)
        END
        WHEN 'function' THEN has_function_privilege(t.objid, t.wanted)
        WHEN 'procedure' THEN has_function_privilege(t.objid, t.wanted)
        WHEN 'routine' THEN has_function_privilege(t.objid, t.wanted)
        WHEN 'type' THEN has_type_privilege(t.objid, t.wanted)
        WHEN 'schema' THEN has_schema_privilege(t.objid, t.wanted)
        WHEN 'database' THEN has_database_privilege(t.objid, t.wanted)
        WHEN 'language' THEN has_language_privilege(t.objid, t.wanted)
        WHEN 'server' THEN has_server_privilege(t.objid, t.wanted)
        WHEN 'wrapper' THEN has_foreign_data_wrapper_privilege(t.objid, t.wanted)
        WHEN 'tablespace' THEN has_tablespace_privilege(t.objid, t.wanted)
        WHEN 'large-object' THEN EXISTS (
            SELECT FROM pg_largeobject_metadata AS l
            CROSS JOIN LATERAL aclexplode(COALESCE(l.lomacl, acldefault('L', l.lomowner))) AS e
            WHERE l.oid = t.objid AND e.privilege_type = t.privilege AND (e.is_grantable OR NOT t.grantable)
              AND (e.grantee = 0 OR pg_has_role(e.grantee, 'USAGE'))
        ) OR (SELECT rolsuper FROM pg_roles WHERE rolname = CURRENT_USER)
        WHEN 'role' THEN CASE
            WHEN t.grantable THEN pg_has_role(t.objid, 'MEMBER WITH ADMIN OPTION')
            ELSE pg_has_role(t.objid, 'USAGE') OR pg_has_role(SESSION_USER, t.objid, server.act)
        END
    END AS held
    FROM target AS t, server
    WHERE t.column_name IS NULL OR t.attnum IS NOT NULL
), missing AS (
    SELECT n, 'privilege' AS what, classid, objid, COALESCE(attnum, 0)::int AS objsubid,
           privilege, grantable, NULL AS name
    FROM held WHERE kind <> 'role' AND NOT held
    UNION ALL
    SELECT n, CASE WHEN grantable THEN 'inherited-role' ELSE 'member' END, NULL, NULL, NULL, NULL, grantable, name
    FROM held WHERE kind = 'role' AND NOT held
    UNION ALL
    SELECT n, 'unsupported', NULL, NULL, NULL, privilege, false, since
    FROM item WHERE since IS NOT NULL AND NOT implied
    UNION ALL
    SELECT min(n), 'absent', NULL, NULL, NULL, NULL, false, concat_ws(
        ' ',
        replace(kind, '-', ' '),
        COALESCE(quote_ident(schema) || '.', '') || CASE kind WHEN 'large-object' THEN name ELSE quote_ident(name) END
            || COALESCE('(' || NULLIF(
                array_to_string(ARRAY(SELECT jsonb_array_elements_text(NULLIF(arguments, 'null'))), ', '), ''
            ) || ')', '')
    )
    FROM item AS i
    WHERE since IS NULL AND name IS NOT NULL AND kind <> 'parameter'
      AND NOT EXISTS (SELECT FROM target AS t WHERE t.n = i.n)
    GROUP BY kind, schema, name, arguments
    UNION ALL
    SELECT min(n), 'absent', NULL, NULL, NULL, NULL, false, 'schema ' || quote_ident(schema)
    FROM item WHERE name IS NULL AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspname = item.schema)
    GROUP BY schema
    UNION ALL
    SELECT min(n), 'absent', NULL, NULL, NULL, NULL, false, format('column %s.%I', objid::regclass, column_name)
    FROM target WHERE column_name IS NOT NULL AND attnum IS NULL
    GROUP BY objid, column_name
    UNION ALL
    -- Nothing in a schema can be reached without this.
    SELECT min(n), 'privilege', 'pg_namespace'::regclass, namespace, 0, 'USAGE', false, NULL
    FROM target WHERE namespace IS NOT NULL AND NOT has_schema_privilege(namespace, 'USAGE')
    GROUP BY namespace
    UNION ALL
    -- Every INSERT fails where row-level security holds for the role, and no policy lets it through.
    SELECT n, 'row-security', classid, objid, 0, NULL, false, NULL
    FROM held
    WHERE kind = 'table' AND privilege = 'INSERT' AND held AND relkind IN ('r', 'p') AND row_security_active(objid)
      AND NOT EXISTS (
          SELECT FROM pg_policy AS p
          WHERE p.polrelid = objid AND p.polpermissive AND p.polcmd IN ('a', '*')
            AND EXISTS (SELECT FROM unnest(p.polroles) AS r (oid) WHERE r.oid = 0 OR pg_has_role(r.oid, 'USAGE'))
      )
)
SELECT json_build_object(
    'total', (SELECT count(*) FROM missing),
    'missing', (
        SELECT COALESCE(json_agg(json_build_object(
            'what', m.what,
            'privilege', m.privilege,
            'grantable', m.grantable,
            'name', m.name,
            'type', i.type,
            'identity', COALESCE(i.identity, m.name),
            'column', (
                SELECT quote_ident(attname) FROM pg_attribute
                WHERE attrelid = m.objid AND attnum = m.objsubid AND m.objsubid <> 0
            ),
            'table', (
                SELECT format('%I.%I', s.nspname, c.relname)
                FROM pg_class AS c JOIN pg_namespace AS s ON s.oid = c.relnamespace
                WHERE c.oid = m.objid AND m.objsubid <> 0
            )
        ) ORDER BY m.n, m.what, i.identity, m.privilege), '[]')
        FROM (SELECT * FROM missing ORDER BY n, what, objid LIMIT $4::int8) AS m
        LEFT JOIN LATERAL pg_identify_object(m.classid, m.objid, m.objsubid) AS i ON true
    ),
    -- What lies behind a view is looked at with its owner's rights, by planning a statement on it.
    'views', ARRAY(
        SELECT DISTINCT CASE h.privilege
            WHEN 'SELECT' THEN format(
                'SELECT %s FROM %s',
                CASE WHEN h.column_name IS NULL THEN '*' ELSE quote_ident(h.column_name) END, v.view
            )
            WHEN 'DELETE' THEN format('DELETE FROM %s', v.view)
            WHEN 'INSERT' THEN format(
                'INSERT INTO %s (%s) VALUES (%s)',
                v.view, string_agg(quote_ident(c.attname), ', ' ORDER BY c.attnum), string_agg('DEFAULT', ', ')
            )
            ELSE format('UPDATE %s SET %I = DEFAULT', v.view, min(c.attname::text))
        END
        FROM held AS h
        CROSS JOIN LATERAL (
            SELECT format('%I.%I', s.nspname, r.relname) AS view
            FROM pg_class AS r JOIN pg_namespace AS s ON s.oid = r.relnamespace
            WHERE r.oid = h.objid
        ) AS v
        LEFT JOIN pg_attribute AS c
          ON c.attrelid = h.objid AND c.attnum > 0 AND NOT c.attisdropped
         AND (c.attname = h.column_name OR h.column_name IS NULL)
         AND pg_column_is_updatable(h.objid, c.attnum, false)
        WHERE h.relkind = 'v' AND h.held AND has_schema_privilege(h.namespace, 'USAGE')
          AND (h.privilege IN ('SELECT', 'DELETE') OR h.privilege IN ('INSERT', 'UPDATE') AND c.attname IS NOT NULL)
        -- UPDATE by each column: one that cannot be updated would hide the others.
        GROUP BY h.n, h.privilege, h.column_name, v.view, CASE h.privilege WHEN 'UPDATE' THEN c.attnum END
    )
)::text
