-- From PostgreSQL 15 on: like parity.sql, for privileges on parameters.
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
missing AS (
    SELECT p.oid, p.parname AS name, e.privilege_type AS privilege, e.is_grantable AS grantable
    FROM mention AS m
    JOIN pg_parameter_acl AS p ON p.oid = m.objid
    CROSS JOIN mine
    CROSS JOIN LATERAL aclexplode(p.paracl) AS e
    WHERE m.theirs AND m.deptype = 'a' AND m.classid = 'pg_parameter_acl'::regclass AND e.grantee = m.role
      AND NOT has_parameter_privilege(
          mine.oid, p.parname, e.privilege_type || CASE WHEN e.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
      )
), example AS (
    SELECT * FROM missing ORDER BY oid, privilege LIMIT $2::int8
)
SELECT json_build_object(
    'total', (SELECT count(*) FROM missing),
    'missing', (
        SELECT COALESCE(json_agg(json_build_object(
            'what', 'privilege', 'privilege', privilege, 'grantable', grantable,
            'type', 'parameter ACL', 'identity', name
        ) ORDER BY oid, privilege), '[]') FROM example
    )
)::text
