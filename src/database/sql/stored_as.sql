-- How the server stores the passwords of the users $1, as one JSON object. No hash leaves the server.
SELECT COALESCE(json_object_agg(rolname, CASE
    WHEN rolpassword IS NULL THEN 'none'
    WHEN rolpassword LIKE 'SCRAM-SHA-256$%' THEN 'scram-sha-256'
    ELSE 'md5'
END), '{}')::text
FROM pg_authid
WHERE rolname = ANY ($1::text[])
