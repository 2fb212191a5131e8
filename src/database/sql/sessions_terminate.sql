-- Terminates the sessions of the user $1, except this one. Returns their number.
-- $2 seconds: only sessions opened longer ago. NULL: all sessions.
SELECT count(*) FILTER (WHERE pg_terminate_backend(pid))
FROM pg_stat_activity
WHERE
    -- shared: sessions
    usename = $1::text AND pid <> pg_backend_pid()
    -- Parallel workers are no sessions. Only a role that may see the user's activity can tell them apart.
    AND backend_type IS DISTINCT FROM 'parallel worker'
    AND ($2::float8 IS NULL OR backend_start < clock_timestamp() - make_interval(secs => $2::float8))
    -- end of shared
