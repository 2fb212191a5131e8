"""
An application for the tests: it answers each line of JSON on standard input by one on standard output.

{"id": 1, "do": "work", "row": 7} inserts a row, {"id": 2, "do": "login", "row": 8} the same over a new connection,
{"id": 3, "do": "show"} shows what a debugger would.
"""

import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import botocore.session
import psycopg
import sqlalchemy
from rotating_secret import RotatingSecret
from with_psycopg import make_pool
from with_sqlalchemy import make_engine

INSERT = "INSERT INTO orders (id) VALUES ({}) RETURNING session_user::text, pg_backend_pid()"


class WithPsycopg:
    def __init__(self, secret, server, lifetime, sessions, budget):
        conninfo = psycopg.conninfo.make_conninfo("", **server)
        # Longer than a login may take.
        self.pool = make_pool(secret, conninfo, lifetime, min_size=0, max_size=sessions, timeout=budget + 5)

    def work(self, row, login):
        with self.pool.connection() as connection:
            answer = connection.execute(INSERT.format("%s"), [row]).fetchone()
            connection.commit()
            if login:
                connection.close()
        return answer

    def shown(self):
        with self.pool.connection() as connection:
            return [self.pool, self.pool.kwargs, self.pool.conninfo, connection, connection.info.dsn]


class WithSqlalchemy:
    def __init__(self, secret, server, lifetime, sessions, _budget):
        url = sqlalchemy.URL.create("postgresql+psycopg", query=server)
        self.engine = make_engine(secret, url, lifetime, pool_size=sessions, max_overflow=0, pool_timeout=60)

    def work(self, row, login):
        with self.engine.connect() as connection:
            answer = tuple(connection.execute(sqlalchemy.text(INSERT.format(":row")), {"row": row}).one())
            connection.commit()
            if login:
                connection.invalidate()
        return answer

    def shown(self):
        with self.engine.connect() as connection:
            return [self.engine, self.engine.url, self.engine.pool, connection, connection.connection.dbapi_connection]


def main():
    settings = json.loads(os.environ["SETTINGS"])
    logging.basicConfig(level=settings["log"], stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")
    client = botocore.session.get_session().create_client("secretsmanager")
    secret = RotatingSecret(settings["secret"], client, settings["cache_seconds"], settings["budget_seconds"])
    kind = {"psycopg": WithPsycopg, "sqlalchemy": WithSqlalchemy}[sys.argv[1]]
    sessions = settings["sessions"]
    application = kind(secret, settings["server"], settings["max_lifetime"], sessions, settings["budget_seconds"])

    def answer(request):
        try:
            if request["do"] == "show":
                seen = [secret, vars(secret), secret.login(lambda credentials: credentials), *application.shown()]
                return {"shown": "\n".join(f"{each!r} {each!s}" for each in seen)}
            user, session = application.work(request["row"], request["do"] == "login")
            return {"user": user, "session": session}
        except Exception as error:
            original = getattr(error, "orig", error)
            return {"error": f"{original!r} {getattr(original, 'sqlstate', None)} {vars(original)}"}

    def respond(request):
        # One write for a line, since many threads answer.
        os.write(1, (json.dumps({"id": request["id"]} | answer(request)) + "\n").encode())

    with ThreadPoolExecutor(max_workers=4 * sessions) as threads:
        for line in sys.stdin:
            threads.submit(respond, json.loads(line))
    os._exit(0)


if __name__ == "__main__":
    main()
