-- The server's settings for passwords, and whether the session has its own settings.
-- Returns search_path, the role that logged in, the role that it acts as, password_encryption and
-- scram_iterations (NULL before PostgreSQL 16).
SELECT
    pg_catalog.current_setting('search_path'),
    SESSION_USER::pg_catalog.text,
    CURRENT_USER::pg_catalog.text,
    pg_catalog.current_setting('password_encryption'),
    pg_catalog.current_setting('scram_iterations', true)
