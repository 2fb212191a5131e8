-- From PostgreSQL 15 on: like grants.sql, for privileges on parameters.
-- $1 the checks, $2 the number of missing rights to describe
WITH item AS MATERIALIZED (
    SELECT i.n,
           c ->> 'name' AS name,
           c ->> 'privilege' AS privilege,
           (c ->> 'grantable')::bool AS grantable
    FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS i (c, n)
    WHERE c ->> 'kind' = 'parameter'
), missing AS (
    SELECT *
    FROM item
    WHERE NOT has_parameter_privilege(
        name, privilege || CASE WHEN grantable THEN ' WITH GRANT OPTION' ELSE '' END
    )
    -- What an ordinary user may set, or an extension that is not there has defined, takes no privilege.
    AND NOT (
        privilege = 'SET' AND NOT grantable
        AND COALESCE(
            (SELECT s.context = 'user' FROM pg_settings AS s WHERE lower(s.name) = lower(item.name)),
            name LIKE '%.%'
        )
    )
), example AS (
    SELECT * FROM missing ORDER BY n LIMIT $2::int8
)
SELECT json_build_object(
    'total', (SELECT count(*) FROM missing),
    'missing', (
        SELECT COALESCE(json_agg(json_build_object(
            'what', 'privilege', 'privilege', privilege, 'grantable', grantable, 'name', name,
            'type', 'parameter', 'identity', name
        ) ORDER BY n), '[]') FROM example
    )
)::text
