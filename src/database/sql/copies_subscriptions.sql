-- The subscriptions of the whole cluster whose connection names one of the users $1, as a JSON list.
-- Only a superuser may read pg_subscription.subconninfo.
SELECT COALESCE(json_agg(json_build_object(
    'role', u.name,
    'place', format('subscription %I in database %I', s.subname, d.datname),
    'statement', format('ALTER SUBSCRIPTION %I CONNECTION ''...''', s.subname)
) ORDER BY u.name, s.subname), '[]')::text
FROM pg_subscription AS s
JOIN pg_database AS d ON d.oid = s.subdbid
JOIN unnest($1::text[]) AS u (name)
  ON s.subconninfo ~ ('(\muser\s*=\s*''?|//)' || regexp_replace(u.name, '(\W)', '\\\1', 'g') || '(''|\s|:|@|$)')
WHERE s.subconninfo ~ '\mpassword\s*=|//[^/@]*:[^/@]*@'
