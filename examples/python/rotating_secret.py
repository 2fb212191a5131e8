"""Logs in with the credential that Secrets Manager holds, also while it is rotated."""

import json
import logging
import random
import re
import threading
import time
from dataclasses import dataclass, field

import psycopg
from aws_secretsmanager_caching import SecretCache, SecretCacheConfig

log = logging.getLogger(__name__)
# At DEBUG botocore logs every answer whole, and with it the password.
logging.getLogger("botocore").setLevel(logging.INFO)


@dataclass(frozen=True)
class Credentials:
    """User name and password always travel as one pair: with two users, both change."""

    username: str
    password: str = field(repr=False)


def refused(error):
    """
    Whether the server refused the password (SQLSTATE 28P01).

    libpq does not hand out the SQLSTATE of a failed login, only the server's text. This is the text of a server
    whose lc_messages is English, which is the default on Amazon RDS.
    """
    return error.sqlstate == "28P01" or re.search(r"FATAL:\s+password authentication failed for user", str(error))


class RotatingSecret:
    def __init__(self, secret_id, client, cache_seconds=60, budget=30.0):
        """`client` is botocore's client of Secrets Manager; `budget` is how long a login may take, in seconds."""
        self._id, self._client, self._budget = secret_id, client, budget
        self._config = SecretCacheConfig(secret_refresh_interval=cache_seconds)
        self._cache = SecretCache(self._config, client)
        # Of each read past the cache: one at a time, when it began, what it found.
        self._locks = {"AWSCURRENT": threading.Lock(), "AWSPENDING": threading.Lock()}
        self._began, self._found = {}, {}

    def login(self, connect):
        """
        Returns what `connect(credentials)` returns for the first credential that the server accepts.

        Every error except a refused password is passed on at once.
        """
        deadline, wait = time.monotonic() + self._budget, 0.1
        sources = ("cache", "AWSCURRENT", "AWSPENDING")
        while True:
            since, tried = time.monotonic(), []
            for source in sources:
                credentials = self._cached() if source == "cache" else self._read(source, since)
                if credentials is None or credentials in tried:
                    continue
                try:
                    return connect(credentials)
                except psycopg.OperationalError as error:
                    # psycopg's own error holds the password, in `pgconn`.
                    failure = type(error)(*error.args)
                if not refused(failure):
                    raise failure
                log.warning("login refused: user %s, from %s", credentials.username, source)
                tried.append(credentials)
            # Each waits for another time, so that not all come back at once.
            pause = random.uniform(wait / 2, wait)
            if time.monotonic() + pause > deadline:
                raise failure
            time.sleep(pause)
            wait, sources = min(wait * 2, 2.0), sources[-2:]

    def _cached(self):
        """From the cache, once the read under way has ended."""
        with self._locks["AWSCURRENT"]:
            return parsed(self._cache.get_secret_string(self._id))

    def _read(self, stage, since):
        """Reads past the cache. All whose attempt is older than this read share it."""
        with self._locks[stage]:
            began = time.monotonic()
            if self._began.get(stage, -1.0) < since:
                self._found[stage], self._began[stage] = self._fetch(stage), began
            return self._found[stage]

    def _fetch(self, stage):
        if stage == "AWSCURRENT":
            # A new cache reads at once. SecretCache.refresh_secret_now() sleeps for 2.5 to 5 seconds first.
            cache = SecretCache(self._config, self._client)
            credentials = parsed(cache.get_secret_string(self._id))
            self._cache = cache
            return credentials
        # The pending value is not kept in the cache: the rotation may still be taken back.
        try:
            return parsed(self._client.get_secret_value(SecretId=self._id, VersionStage=stage)["SecretString"])
        except self._client.exceptions.ResourceNotFoundException:
            return None


def parsed(text):
    document = json.loads(text)
    return Credentials(document["username"], document["password"])
