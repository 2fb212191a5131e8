-- Ends the sessions of the user $1 except this one. Returns how many were told to end.
-- $2 limits them to those opened more than so many seconds ago; NULL: all
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE
    -- shared: sessions
    usename = $1::text AND pid <> pg_backend_pid()
    -- A query's worker processes are no sessions. Only a role that may see the user's sessions can tell them apart.
    AND backend_type IS DISTINCT FROM 'parallel worker'
    AND ($2::float8 IS NULL OR backend_start < clock_timestamp() - make_interval(secs => $2::float8))
    -- end of shared
