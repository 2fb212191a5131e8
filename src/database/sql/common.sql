-- What the queries in the other files share; they name it after WITH.
kind AS (
    -- PostgreSQL 16 split the right to act as a role from membership, under a name that older servers refuse.
    SELECT CASE WHEN current_setting('server_version_num')::int >= 160000 THEN 'SET' ELSE 'MEMBER' END AS set,
           (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
), setting AS (
    SELECT s.setrole, s.setdatabase, split_part(entry, '=', 1) AS name, substr(entry, strpos(entry, '=') + 1) AS value
    FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS entry
)