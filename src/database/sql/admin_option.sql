-- Lets the admin set the password of a role that another role has created. PostgreSQL 16 and newer need this.
-- DO takes no parameters: the names of the two are settings of the transaction.
DO $body$
DECLARE
    target_name CONSTANT text := current_setting('postgres_secret_rotation.target');
    admin_name CONSTANT text := current_setting('postgres_secret_rotation.admin');
BEGIN
    -- The creator of a role has it already.
    IF admin_name <> CURRENT_USER THEN
        EXECUTE format('GRANT %I TO %I WITH ADMIN OPTION', target_name, admin_name);
    END IF;
END
$body$
