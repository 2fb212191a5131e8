-- When the passwords of the roles $1 end, as a JSON list. Passwords that never end are left out.
SELECT COALESCE(json_agg(json_build_object(
    'role', rolname,
    'at', to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
    'exact', to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US "UTC"'),
    'epoch', floor(extract(epoch FROM rolvaliduntil))::bigint,
    'seconds', floor(extract(epoch FROM rolvaliduntil - clock_timestamp()))::bigint
) ORDER BY rolname), '[]')::text
FROM pg_roles
WHERE rolname = ANY ($1::text[]) AND isfinite(rolvaliduntil)
