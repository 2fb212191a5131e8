-- In how many seconds the password of the role $1 ends, by the server's clock; NULL: never.
-- One row, also if there is no such role.
SELECT max(extract(epoch FROM rolvaliduntil - clock_timestamp()))::float8
FROM pg_roles
WHERE rolname = $1::text AND isfinite(rolvaliduntil)
