-- The sessions of the user $1 except this one, by application and address, as one JSON array.
-- $2 limits them to those opened more than so many seconds ago; NULL: all
SELECT COALESCE(json_agg(c), '[]')::text
FROM (
    SELECT application_name AS application,
           host(client_addr) AS address,
           count(*) AS sessions,
           floor(extract(epoch FROM clock_timestamp() - min(backend_start)))::int8 AS oldest_seconds
    FROM pg_stat_activity
    WHERE
    -- shared: sessions
    usename = $1::text AND pid <> pg_backend_pid()
    -- A query's worker processes are no sessions. Only a role that may see the user's sessions can tell them apart.
    AND backend_type IS DISTINCT FROM 'parallel worker'
    AND ($2::float8 IS NULL OR backend_start < clock_timestamp() - make_interval(secs => $2::float8))
    -- end of shared
    GROUP BY 1, 2
    ORDER BY 3 DESC, 1, 2
) AS c
