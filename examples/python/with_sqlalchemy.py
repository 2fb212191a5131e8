"""An engine of SQLAlchemy whose every new connection takes the credential of a RotatingSecret."""

from sqlalchemy import create_engine, event


def make_engine(secret, url, max_lifetime, **options):
    """
    `url` names the server, without user and password.

    `max_lifetime` (seconds) is shorter than the rotation's interval, and than `retire_after`.
    """
    engine = create_engine(url, pool_recycle=max_lifetime, pool_pre_ping=True, **options)

    @event.listens_for(engine, "do_connect")
    def connect(dialect, _record, arguments, parameters):
        def with_credentials(c):
            return dialect.connect(*arguments, **{**parameters, "user": c.username, "password": c.password})

        return secret.login(with_credentials)

    return engine
