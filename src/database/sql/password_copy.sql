-- Gives one role the password of another, as its hash, which no one sees. Only a superuser may read it.
-- DO takes no parameters: the names of the two are settings of the transaction.
DO $body$
DECLARE
    source_name CONSTANT text := current_setting('postgres_secret_rotation.source');
    target_name CONSTANT text := current_setting('postgres_secret_rotation.target');
    hash text;
BEGIN
    BEGIN
        -- An md5 hash holds the name of its role, too.
        SELECT rolpassword INTO hash FROM pg_authid
        WHERE rolname = source_name AND rolpassword LIKE 'SCRAM-SHA-256$%';
    EXCEPTION WHEN insufficient_privilege THEN
        hash := NULL;
    END;
    IF hash IS NULL THEN
        RAISE WARNING 'role % has no password yet. Run \password %, with the password in AWSCURRENT, before you change '
            'the secret.', target_name, quote_ident(target_name);
    ELSE
        EXECUTE format('ALTER ROLE %I PASSWORD %L', target_name, hash);
    END IF;
END
$body$
