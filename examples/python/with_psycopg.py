"""A pool of psycopg 3 whose every new connection takes the credential of a RotatingSecret."""

import psycopg
from psycopg_pool import ConnectionPool


def make_pool(secret, conninfo, max_lifetime, **options):
    """
    `conninfo` names the server, without user and password.

    `max_lifetime` (seconds) is shorter than the rotation's interval, and than `retire_after`.
    """

    class Connection(psycopg.Connection):
        @classmethod
        def connect(cls, conninfo="", **kwargs):
            plain = super().connect
            return secret.login(lambda c: plain(conninfo, user=c.username, password=c.password, **kwargs))

    # The pool connects in the background: what goes wrong there is in its log, and the caller gets PoolTimeout.
    return ConnectionPool(
        conninfo,
        connection_class=Connection,
        max_lifetime=max_lifetime,
        check=ConnectionPool.check_connection,
        open=True,
        **options,
    )
