-- The security labels in which the role $2 differs from the role $1, as a JSON list. $2 need not exist.
-- A label of NULL has to be removed.
SELECT COALESCE(json_agg(json_build_object('provider', provider, 'label', theirs.label) ORDER BY provider), '[]')::text
FROM (
    SELECT provider, label FROM pg_shseclabel JOIN pg_roles ON pg_roles.oid = objoid
    WHERE classoid = 'pg_authid'::regclass AND rolname = $1::text
) AS theirs
FULL JOIN (
    SELECT provider, label FROM pg_shseclabel JOIN pg_roles ON pg_roles.oid = objoid
    WHERE classoid = 'pg_authid'::regclass AND rolname = $2::text
) AS ours USING (provider)
WHERE theirs.label IS DISTINCT FROM ours.label
