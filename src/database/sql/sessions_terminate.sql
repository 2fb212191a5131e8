-- Ends the sessions of the user $1, but this one; how many were told to end.
-- $2 seconds: only those that were opened longer ago; NULL: all of them
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE
    -- shared: sessions
    usename = $1::text AND pid <> pg_backend_pid()
    -- A query's worker processes are no sessions, but only a role that may look at the user's sees which they are.
    AND backend_type IS DISTINCT FROM 'parallel worker'
    AND ($2::float8 IS NULL OR backend_start < clock_timestamp() - make_interval(secs => $2::float8))
    -- end of shared
