-- The role that this session's user is set to act as in this database, if it acts as another one all the same.
WITH :common, wanted AS (
    SELECT NULLIF(s.value, 'none') AS name
    FROM setting AS s, kind
    WHERE s.name = 'role' AND s.setrole IN ((SELECT oid FROM pg_roles WHERE rolname = SESSION_USER), 0) AND s.setdatabase IN (kind.database, 0)
    ORDER BY s.setrole = 0, s.setdatabase = 0
    LIMIT 1
)
SELECT NULLIF((SELECT name FROM wanted), CURRENT_USER)
