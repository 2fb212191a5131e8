-- The server's settings for passwords, and whether the session has its own settings.
-- Returns search_path, the role that logged in, the role that it acts as and password_encryption. Then come
-- scram_iterations (NULL before PostgreSQL 16), and whether the sources of settings can be read.
SELECT
    pg_catalog.current_setting('search_path'),
    SESSION_USER::pg_catalog.text,
    CURRENT_USER::pg_catalog.text,
    pg_catalog.current_setting('password_encryption'),
    pg_catalog.current_setting('scram_iterations', true),
    pg_catalog.has_table_privilege('pg_catalog.pg_settings', 'SELECT')
    AND pg_catalog.has_function_privilege('pg_catalog.pg_show_all_settings()', 'EXECUTE')
