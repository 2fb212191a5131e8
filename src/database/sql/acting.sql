-- The role in the "role" setting of this session's user, if the session acts as another role.
WITH
-- shared: server
server AS (
    -- PostgreSQL 16 split the right to act as a role from membership, under a name that older servers refuse.
    SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END AS act,
           (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
),
-- end of shared
-- shared: setting
setting AS (
    -- This splits bytes: a session of another encoding may have set what is no text here.
    SELECT s.setrole, s.setdatabase, o.option_name AS name, o.option_value AS value
    FROM pg_db_role_setting AS s CROSS JOIN pg_options_to_table(s.setconfig) AS o
),
-- end of shared
wanted AS (
    SELECT NULLIF(s.value, 'none') AS name
    FROM setting AS s, server
    WHERE s.name = 'role' AND s.setdatabase IN (server.database, 0)
      AND s.setrole IN ((SELECT oid FROM pg_roles WHERE rolname = SESSION_USER), 0)
    ORDER BY s.setrole = 0, s.setdatabase = 0
    LIMIT 1
)
SELECT NULLIF((SELECT name FROM wanted), CURRENT_USER)
