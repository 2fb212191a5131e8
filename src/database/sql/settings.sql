-- Gives one role the settings of another, in every database. Its `role` is set apart.
-- DO takes no parameters: the names of the two are settings of the transaction.
-- No value stands in the text: the server may log the statement, and people keep keys in settings.
DO $body$
DECLARE
    source_name CONSTANT text := current_setting('postgres_secret_rotation.source');
    target_name CONSTANT text := current_setting('postgres_secret_rotation.target');
    source CONSTANT oid := (SELECT oid FROM pg_roles WHERE rolname = source_name);
    target CONSTANT oid := (SELECT oid FROM pg_roles WHERE rolname = target_name);
    change_to record;
    change text;
    kept text;
BEGIN
    FOR change_to IN
        WITH
        -- shared: setting
        setting AS (
            -- This splits bytes: a session of another encoding may have set what is no text here.
            SELECT s.setrole, s.setdatabase, o.option_name AS name, o.option_value AS value
            FROM pg_db_role_setting AS s CROSS JOIN pg_options_to_table(s.setconfig) AS o
        )
        -- end of shared
        SELECT name, theirs.value, d.datname AS database
        FROM (SELECT * FROM setting AS s WHERE setrole = source) AS theirs
        FULL JOIN (SELECT * FROM setting AS s WHERE setrole = target) AS ours USING (setdatabase, name)
        LEFT JOIN pg_database AS d ON d.oid = setdatabase
        WHERE theirs.value IS DISTINCT FROM ours.value AND NOT (setdatabase = 0 AND name = 'role')
    LOOP
        change := format('ALTER ROLE %I %s', target_name, 'IN DATABASE ' || quote_ident(change_to.database));
        IF change_to.value IS NULL THEN
            EXECUTE format('%s RESET %I', change, change_to.name);
        ELSIF change_to.name LIKE '%.%' OR change_to.name IN (
            'search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries'
        ) THEN
            -- Lists (a literal would be one element) and parameters of extensions are copied unchanged.
            change := format('%s SET %I FROM CURRENT', change, change_to.name);
            kept := COALESCE(current_setting(change_to.name, true), '');
            -- From here on the search_path may be theirs: no name that is not qualified.
            PERFORM pg_catalog.set_config(change_to.name, change_to.value, true);
            EXECUTE change;
            PERFORM pg_catalog.set_config(change_to.name, kept, true);
        ELSE
            -- Not by current_setting, which would return them in other units.
            EXECUTE format('%s SET %I TO %L', change, change_to.name, change_to.value);
        END IF;
    END LOOP;
END
$body$
