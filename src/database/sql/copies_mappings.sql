-- The user mappings of this database that hold a password for one of the users $1, as a JSON list. The session sees
-- only options that it may read. postgres_fdw and dblink_fdw use such mappings.
SELECT COALESCE(json_agg(json_build_object(
    'role', u.name,
    'place', format('user mapping of %s for server %I in database %I', m.owner, m.srvname, current_database()),
    'statement', format('ALTER USER MAPPING FOR %s SERVER %I OPTIONS (SET password ''...'')', m.owner, m.srvname)
) ORDER BY u.name, m.srvname, m.owner), '[]')::text
FROM (
    SELECT srvname, umoptions, CASE WHEN umuser = 0 THEN 'PUBLIC' ELSE quote_ident(usename) END AS owner
    FROM pg_user_mappings
) AS m
JOIN unnest($1::text[]) AS u (name) ON 'user=' || u.name = ANY (m.umoptions)
WHERE EXISTS (SELECT FROM unnest(m.umoptions) AS option WHERE option LIKE 'password=%')
