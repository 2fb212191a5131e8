-- Whether password_encryption and scram_iterations are the server's own settings, and not those of the role
-- or the database, whose owners could weaken a password.
SELECT
    pg_catalog.bool_and(name <> 'password_encryption' OR source NOT IN ('database', 'user', 'database user')),
    pg_catalog.bool_and(name <> 'scram_iterations' OR source NOT IN ('database', 'user', 'database user'))
FROM pg_catalog.pg_settings
WHERE name IN ('password_encryption', 'scram_iterations')
