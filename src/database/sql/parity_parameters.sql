-- From PostgreSQL 15 on: like parity_objects.sql, for privileges on parameters.
-- $1 the user that can, $2 the role that it acts as
-- $3 the roles whose rights it has, $4 those whose rights the other has, $5 those the other must not be granted
-- $6 the number of differences to describe, or NULL for all
WITH entry AS (
    SELECT p.oid, p.parname AS parameter, e.privilege_type AS privilege, e.is_grantable AS grantable, e.grantee
    FROM pg_parameter_acl AS p CROSS JOIN LATERAL aclexplode(p.paracl) AS e
), lacking AS (
    SELECT *
    FROM entry AS e
    WHERE e.grantee = ANY ($3::oid[]) AND NOT EXISTS (
        SELECT FROM entry AS h
        WHERE h.oid = e.oid AND h.privilege = e.privilege AND h.grantable >= e.grantable
          AND (h.grantee = 0 OR h.grantee = ANY ($4::oid[]))
    )
), missing AS (
    SELECT 'privilege' AS what, parameter, privilege, grantable, NULL::oid AS role
    FROM lacking
    WHERE grantee IN ($1::oid, $2::oid)
    UNION ALL
    SELECT DISTINCT 'inherited-role', NULL, NULL, false, grantee
    FROM lacking
    WHERE grantee NOT IN ($1::oid, $2::oid)
), example AS (
    SELECT * FROM missing ORDER BY parameter, privilege, role LIMIT $6::int8
)
SELECT json_build_object(
    'total', (SELECT count(*) FROM missing),
    'missing', (
        SELECT COALESCE(json_agg(json_build_object(
            'what', e.what,
            'privilege', e.privilege,
            'grantable', e.grantable,
            'name', r.rolname,
            'type', 'parameter ACL',
            'identity', e.parameter,
            'ungrantable', COALESCE(e.role = ANY ($5::oid[]), false)
        ) ORDER BY e.parameter, e.privilege, e.role), '[]')
        FROM example AS e LEFT JOIN pg_roles AS r ON r.oid = e.role
    )
)::text
