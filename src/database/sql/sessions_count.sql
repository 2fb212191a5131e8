-- The number of open sessions of each of the users $1, as one JSON object. The application name $2 does not count.
SELECT json_object_agg(u.name, (
    SELECT count(*) FROM pg_stat_activity AS a WHERE a.usename = u.name AND a.application_name <> $2::text
))::text
FROM (SELECT DISTINCT unnest($1::text[]) AS name) AS u
