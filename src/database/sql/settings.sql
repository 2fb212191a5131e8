-- The body of a DO that gives one role the settings of another, in every database; but for its `role`, which is set apart.
-- A value never stands in the text of a statement of ours, which the server may log: people keep keys in settings of their own.
DECLARE
    :names
    source CONSTANT oid := (SELECT oid FROM pg_roles WHERE rolname = source_name);
    target CONSTANT oid := (SELECT oid FROM pg_roles WHERE rolname = target_name);
    setting record;
    change text;
    kept text;
BEGIN
    FOR setting IN
        WITH entry AS (
            SELECT s.setrole, s.setdatabase, split_part(e, '=', 1) AS name, substr(e, strpos(e, '=') + 1) AS value
            FROM pg_db_role_setting AS s CROSS JOIN unnest(s.setconfig) AS e
        )
        SELECT name, theirs.value, d.datname AS database
        FROM (SELECT * FROM entry WHERE setrole = source) AS theirs
        FULL JOIN (SELECT * FROM entry WHERE setrole = target) AS ours USING (setdatabase, name)
        LEFT JOIN pg_database AS d ON d.oid = setdatabase
        WHERE theirs.value IS DISTINCT FROM ours.value AND NOT (setdatabase = 0 AND name = 'role')
    LOOP
        change := format('ALTER ROLE %I %s', target_name, 'IN DATABASE ' || quote_ident(setting.database));
        IF setting.value IS NULL THEN
            EXECUTE format('%s RESET %I', change, setting.name);
        ELSIF setting.name LIKE '%.%' OR setting.name IN ('search_path', 'temp_tablespaces', 'local_preload_libraries', 'session_preload_libraries') THEN
            -- Lists, which a literal would make one element of, and what extensions and people add: taken as they are.
            change := format('%s SET %I FROM CURRENT', change, setting.name);
            kept := COALESCE(current_setting(setting.name, true), '');
            -- From here on the search_path may be theirs: no name that is not qualified.
            PERFORM pg_catalog.set_config(setting.name, setting.value, true);
            EXECUTE change;
            PERFORM pg_catalog.set_config(setting.name, kept, true);
        ELSE
            -- Not by way of the session: it would give them in other units than they were written in.
            EXECUTE format('%s SET %I TO %L', change, setting.name, setting.value);
        END IF;
    END LOOP;
END
