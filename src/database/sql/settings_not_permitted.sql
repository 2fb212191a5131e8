-- From PostgreSQL 15 on: the settings in which two users differ and that the session's user may not set.
-- $1 the current user, $2 the next user
WITH
-- shared: setting
setting AS (
    -- This splits bytes: a session of another encoding may have set what is no text here.
    SELECT s.setrole, s.setdatabase, o.option_name AS name, o.option_value AS value
    FROM pg_db_role_setting AS s CROSS JOIN pg_options_to_table(s.setconfig) AS o
),
-- end of shared
differing AS (
    SELECT DISTINCT COALESCE(theirs.name, ours.name) AS name
    FROM (SELECT s.* FROM setting AS s JOIN pg_roles AS r ON r.oid = s.setrole WHERE r.rolname = $1::text) AS theirs
    FULL JOIN (SELECT s.* FROM setting AS s JOIN pg_roles AS r ON r.oid = s.setrole WHERE r.rolname = $2::text) AS ours
    USING (setdatabase, name)
    WHERE theirs.value IS DISTINCT FROM ours.value AND NOT (setdatabase = 0 AND name = 'role')
)
SELECT COALESCE(json_agg(d.name ORDER BY d.name), '[]')::text
FROM differing AS d
LEFT JOIN pg_settings AS p ON lower(p.name COLLATE "C") = lower(d.name COLLATE "C")
-- Those that a person added are in no view, nor those that only a superuser may see.
WHERE (p.context LIKE 'superuser%' OR p.name IS NULL AND d.name NOT IN ('role', 'seed', 'session_authorization'))
  AND NOT has_parameter_privilege(d.name, 'SET')
