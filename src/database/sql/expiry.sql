-- When the passwords of the roles $1 end, as a JSON list; roles whose passwords never end are left out.
SELECT COALESCE(json_agg(json_build_object(
    'role', rolname,
    'at', to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'),
    'epoch', extract(epoch FROM rolvaliduntil)::bigint,
    'seconds', extract(epoch FROM rolvaliduntil - now())::bigint
) ORDER BY rolname), '[]')::text
FROM pg_roles
WHERE rolname = ANY ($1::text[]) AND isfinite(rolvaliduntil)
