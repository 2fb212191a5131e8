"""Moto as the AWS of the tests. Versions, labels and rotations of Secrets Manager behave as in the service."""

import argparse
import json
import os
import re
import secrets
import sys
import threading
import time
import urllib.request

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.secretsmanager import exceptions, models, responses, urls
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

# These credentials may do everything. All others belong to a role.
TESTS = "testing"
CURRENT, PENDING, PREVIOUS = "AWSCURRENT", "AWSPENDING", "AWSPREVIOUS"
STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
SCHEDULE = r"rate\((\d+) (hour|day)s?\)|cron\(0 \S+ \S+ \S+ \S+ \*\)"

# Moto's state is global, and requests run in threads. Held for one request or change, never during an invocation.
STATE = threading.RLock()
OPTIONS = argparse.Namespace()
ROTATIONS = {}
# Of each invocation the function, and 1 if it failed.
COUNTED = []
# Secrets Manager limits these together. It does so here once a test has set the limit.
WRITES = ("PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage")


def account():
    """Lambda and the rest of the account. Loading them takes seconds, so only a deployment does."""
    import aws_lambda

    aws_lambda.install(invoke)
    return aws_lambda


def present(answer):
    """An answer without the fields that do not apply."""
    return {key: value for key, value in answer.items() if value not in (None, [], {})}


def refuse(kind, message):
    """Refuses a call with the service's exception and text."""
    raise exceptions.SecretsManagerClientError(f"{kind}Exception", message)


def holder(secret, label):
    """The version that carries the label: one at most."""
    return next((token for token, version in secret.versions.items() if label in version["version_stages"]), None)


def find(arn):
    """The secret of that ARN."""
    region, owner = arn.split(":")[3:5]
    return models.secretsmanager_backends[owner][region].secrets[arn]


def invoke(name, event):
    """Whether the function failed, and its answer. Lambda counts the failures."""
    failed, answer = called(name, event)
    COUNTED.append((name, int(failed)))
    return failed, answer


def called(name, event):
    """Invoke answers 200 also if the function failed, and says so in a header."""
    url = f"{OPTIONS.function_url}/2015-03-31/functions/{name}/invocations"
    request = urllib.request.Request(url, event.encode(), {"Content-Type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=900) as answer:
            return "x-amz-function-error" in answer.headers, answer.read().decode(errors="replace")
    except Exception as error:
        return True, f"the function cannot be invoked: {error!r}"


class Secret(models.FakeSecret):
    # Moto finds a model's service and a backend's URLs by the name of the module.
    __module__ = models.__name__
    rotation = rotation_rules = None

    @property
    def owning_service(self):
        """The name of a secret that another service owns begins with that service."""
        return "rds" if self.name.startswith("rds!") else super().owning_service

    def move(self, label, target):
        """AWSPREVIOUS follows AWSCURRENT to the version it left. Labels are listed alphabetically."""
        source = holder(self, label)
        if source == target:
            return
        if source:
            self.versions[source]["version_stages"].remove(label)
        if target:
            self.versions[target]["version_stages"] = sorted([*self.versions[target]["version_stages"], label])
        if label == CURRENT:
            self.default_version_id = target
            self.move(PREVIOUS, source)
        self.last_changed_date = time.time()
        # Who has called no other service has no rule.
        if source and label not in (PENDING, PREVIOUS) and "aws_lambda" in sys.modules:
            account().aws_events.label_moved(self, label, target)

    def grow_older(self, seconds):
        """Moves all dates of the secret back, as if that much time had passed."""
        for version in self.versions.values():
            version["createdate"] -= seconds
        for name in ("last_changed_date", "last_rotation_date", "next_rotation_date"):
            if getattr(self, name, None):
                setattr(self, name, getattr(self, name) - seconds)

    def schedule(self):
        """The next rotation is due one interval after the last write. A cron expression is not evaluated."""
        rules = self.rotation_rules or {}
        days = rules.get("AutomaticallyAfterDays", 0)
        if (rate := re.fullmatch(SCHEDULE, rules.get("ScheduleExpression", ""))) and rate[1]:
            days = int(rate[1]) / (24 if rate[2] == "hour" else 1)
        self.next_rotation_date = time.time() + days * 86400 if days else None

    def abandon(self):
        """Abandons the rotation. A step that is running continues."""
        if self.rotation and self.rotation.state == "running":
            self.rotation.state = "abandoned"

    def to_dict(self):
        """A description names only versions with labels, and no dates if rotation is switched off."""
        labels = present({token: version["version_stages"] for token, version in self.versions.items()})
        labels = {"VersionIdsToStages": labels, "SecretVersionsToStages": labels}
        dates = {} if self.rotation_enabled else {"LastRotatedDate": None, "NextRotationDate": None}
        return present(super().to_dict() | labels | dates | {"RotationRules": self.rotation_rules})

    def reply(self, **fields):
        """Every answer about a secret begins with its ARN and name."""
        return json.dumps({"ARN": self.arn, "Name": self.name} | present(fields))


class Rotation:
    def __init__(self, secret, token, steps):
        """The function gets the secret's ARN, never its name, and one RotationToken."""
        self.secret, self.token, self.steps, self.state, self.log = secret, token, steps, "running", []
        self.event = {"SecretId": secret.arn, "ClientRequestToken": token, "RotationToken": secrets.token_hex(32)}

    def run(self):
        """A failed step restarts all steps. Success needs AWSCURRENT moved. A test leaves no version behind."""
        done = any(all(map(self.step, self.steps)) for _ in range(OPTIONS.attempts))
        with STATE:
            promoted = holder(self.secret, CURRENT) == self.token
            tested = self.steps != STEPS
            if tested and not promoted:
                del self.secret.versions[self.token]
            if self.state == "running":
                self.state = "succeeded" if done and (promoted or tested) else "failed"
            if self.state == "succeeded" and not tested:
                self.secret.last_rotation_date = time.time()
                self.secret.schedule()

    def step(self, step):
        """Runs a step, unless the rotation was abandoned."""
        if self.state != "running":
            return False
        started = time.monotonic()
        function = self.secret.rotation_lambda_arn.rpartition(":")[2]
        failed, answer = invoke(function, json.dumps({"Step": step} | self.event))
        error = (answer or "no message") if failed else None
        if failed and "aws_lambda" in sys.modules:
            account().failed(self.secret.rotation_lambda_arn.rpartition(":")[2])
        self.log.append({"step": step, "ms": round((time.monotonic() - started) * 1000), "error": error})
        return error is None


class SecretsManager(models.SecretsManagerBackend):
    __module__ = models.__name__

    def find(self, secret_id, write=True):
        """A secret that waits for deletion refuses all calls; replicas and other services' secrets refuse writes."""
        if secret_id not in self.secrets:
            raise exceptions.SecretNotFoundException()
        secret = self.secrets[secret_id]
        if secret.is_deleted():
            refuse(
                "InvalidRequest",
                "You can't perform this operation on the secret because it was marked for deletion.",
            )
        if write and isinstance(secret, models.ReplicaSecret):
            raise exceptions.OperationNotPermittedOnReplica()
        if write and secret.owning_service:
            refuse(
                "InvalidRequest",
                "The secret is managed by another service, and you must use that service to update it.",
            )
        return secret

    def store(self, secret, token, value, stages):
        """Fills a version once. The same value again changes nothing. A new current value ends a rotation."""
        stored = present({key: secret.versions.get(token, {}).get(key) for key in value})
        if stored and stored != present(value):
            refuse(
                "ResourceExists",
                f"You can't use ClientRequestToken {token} because that value is already in use for a version "
                f"of secret {secret.arn}.",
            )
        if stored:
            return
        if value and not secret.versions:
            stages = [*stages, CURRENT]
        empty = {"version_id": token, "createdate": time.time(), "version_stages": []}
        secret.versions.setdefault(token, empty).update(present(value))
        for label in stages:
            secret.move(label, token)
        if CURRENT in stages:
            secret.schedule()
        if CURRENT in stages and holder(secret, PENDING) != token:
            secret.move(PENDING, None)
            secret.abandon()

    def put_secret_value(self, secret_id, client_request_token, version_stages, **value):
        """The answer lists all labels of the version, also those that this call did not move."""
        secret = self.find(secret_id)
        token = self._from_client_request_token(client_request_token)
        self.store(secret, token, value, version_stages)
        return secret.reply(VersionId=token, VersionStages=secret.versions[token]["version_stages"])

    def update_secret(self, secret_id, client_request_token, kms_key_id, description, **value):
        """A value becomes the current version. Without a value there is no new version."""
        secret = self.find(secret_id)
        token = self._from_client_request_token(client_request_token) if present(value) else None
        if token:
            self.store(secret, token, value, [CURRENT])
        secret.update(description or secret.description, secret.tags, kms_key_id, time.time())
        return secret.reply(VersionId=token)

    def get_secret_value(self, secret_id, version_id, version_stage):
        """Version and label have to agree. A version without a label can be read, one without a value cannot."""
        secret = self.find(secret_id, write=False)
        version = secret.versions.get(version_id or holder(secret, version_stage or CURRENT), {})
        stages = version.get("version_stages", [])
        if version and version_id and version_stage and version_stage not in stages:
            refuse("InvalidRequest", "You provided a VersionStage that is not associated to the provided VersionId.")
        value = present({"SecretString": version.get("secret_string"), "SecretBinary": version.get("secret_binary")})
        if not value:
            wanted = f"VersionId: {version_id}" if version_id else f"staging label: {version_stage or CURRENT}"
            refuse("ResourceNotFound", f"Secrets Manager can't find the specified secret value for {wanted}")
        answer = {"VersionId": version["version_id"], "VersionStages": stages, "CreatedDate": version["createdate"]}
        return present({"ARN": secret.arn, "Name": secret.name} | answer | value)

    def update_secret_version_stage(self, secret_id, version_stage, remove_from_version_id, move_to_version_id):
        """Moves a label by compare-and-swap. AWSCURRENT can be moved and not removed."""
        secret = self.find(secret_id)
        source, expected, target = holder(secret, version_stage), remove_from_version_id, move_to_version_id
        if target and target not in secret.versions:
            refuse("InvalidParameter", f"Not a valid version: {target}")
        if not target and version_stage == CURRENT:
            refuse(
                "InvalidParameter",
                "You can only move staging label AWSCURRENT to a different secret version. "
                "It can\u2019t be completely removed.",
            )
        if not expected and (not target or source not in (None, target)):
            refuse(
                "InvalidParameter",
                f"The parameter RemoveFromVersionId can't be empty. Staging label {version_stage} is currently "
                f"attached to version {source}, so you must explicitly reference that version in "
                "RemoveFromVersionId.",
            )
        if expected and expected != source:
            refuse(
                "InvalidParameter",
                f"When you move staging label {version_stage}, if you specify RemoveFromVersionId, it must be "
                f"set to the version that currently has the staging label {version_stage}.",
            )
        secret.move(version_stage, target)
        return secret.arn, secret.name

    def rotate_secret(self, secret_id, client_request_token, rotation_lambda_arn, rotation_rules, rotate_immediately):
        """Registers an empty pending version, then calls the function. One rotation runs at a time."""
        secret = self.find(secret_id)
        token = self._from_client_request_token(client_request_token)
        arn, rules = rotation_lambda_arn or secret.rotation_lambda_arn, rotation_rules or secret.rotation_rules or {}
        days, expression = rules.get("AutomaticallyAfterDays"), rules.get("ScheduleExpression")
        valid = days is None or (expression is None and 1 <= days <= 1000)
        if not valid or not re.fullmatch(f"({SCHEDULE})?", expression or ""):
            refuse("InvalidParameter", f"The rotation rules are not valid: {json.dumps(rules)}")
        if not arn:
            refuse(
                "InvalidRequest",
                "You tried to enable rotation on a secret that doesn't already have a Lambda function ARN "
                "configured and you didn't include such an ARN as a parameter in this call.",
            )
        function = "aws_lambda" in sys.modules and account().find(arn.rpartition(":")[2])
        if function and not function.lets_in(secret.arn):
            refuse(
                "AccessDenied",
                "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy "
                "grants access to the principal secretsmanager.amazonaws.com.",
            )
        if holder(secret, PENDING) not in (None, holder(secret, CURRENT)):
            refuse("InvalidRequest", "A previous rotation isn't complete. That rotation will be reattempted.")
        if token in secret.versions:
            refuse("InvalidRequest", f"ClientRequestToken {token} is already a version of secret {secret.arn}.")
        secret.rotation_lambda_arn, secret.rotation_rules = arn, rules
        secret.rotation_requested = secret.rotation_enabled = True
        secret.schedule()
        self.store(secret, token, {}, [PENDING])
        secret.rotation = ROTATIONS[token] = Rotation(secret, token, STEPS if rotate_immediately else ("testSecret",))
        threading.Thread(target=secret.rotation.run, daemon=True).start()
        return secret.reply(VersionId=token)

    def cancel_rotate_secret(self, secret_id):
        """Switches rotation off. The labels stay where they are."""
        secret = self.find(secret_id)
        super().cancel_rotate_secret(secret_id)
        secret.abandon()
        return secret.reply(VersionId=holder(secret, PENDING))


class Rate:
    """So many requests a second, and as many more at once as a tenth of a second brings."""

    def __init__(self):
        self.limit, self.left, self.seen, self.refused = 0, 0, time.monotonic(), 0

    def set(self, limit):
        self.limit = self.left = limit

    def take(self):
        now = time.monotonic()
        self.left = min(self.left + (now - self.seen) * self.limit, self.limit / 10)
        self.seen = now
        if self.limit and self.left < 1:
            self.refused += 1
            refuse("Throttling", "Rate exceeded")
        self.left -= 1


RATE = Rate()


class Api(responses.SecretsManagerResponse):
    def list_secret_version_ids(self):
        """Versions without a label are listed only on request."""
        secret = self.backend.find(self._get_param("SecretId"), write=False)
        every = self._get_bool_param("IncludeDeprecated")
        keys = {"VersionId": "version_id", "VersionStages": "version_stages", "CreatedDate": "createdate"}
        listed = [version for version in secret.versions.values() if every or version["version_stages"]]
        entries = [present({key: version[own] for key, own in keys.items()}) for version in listed]
        page = self.backend._get_secret_values_page_and_next_token
        found, rest = page(entries, self._get_int_param("MaxResults"), self._get_param("NextToken"))
        return secret.reply(Versions=found, NextToken=rest)

    def check(self, key):
        """Refuses the call unless the role's policies allow it, and the use of the secret's key."""
        import aws_iam

        caller = aws_iam.session(key)
        action, asked = self._get_action(), self._get_param("SecretId", "")
        secret = self.backend.secrets.get(asked)
        arn = secret.arn if secret else asked if asked.startswith("arn:") else f"{aws_iam.SECRETS}:{asked}"
        # ListSecrets names none.
        arn = arn if asked else "*"
        context = {"secretsmanager:secretid": arn}
        if secret:
            tags = {aws_iam.TAG + tag["Key"].lower(): tag["Value"] for tag in secret.tags or []}
            context |= tags | {"secretsmanager:resource/allowrotationlambdaarn": secret.rotation_lambda_arn or None}
        if reason := aws_iam.refusal(caller, f"secretsmanager:{action}", arn, context):
            refuse("AccessDenied", reason)
        used = {"GetSecretValue": "kms:Decrypt", "PutSecretValue": "kms:GenerateDataKey"}.get(action)
        if used and secret and secret.kms_key_id not in (None, self.backend.DEFAULT_KMS_KEY_ALIAS):
            service = f"secretsmanager.{aws_iam.REGION}.amazonaws.com"
            through = {"kms:viaservice": service, "kms:encryptioncontext:secretarn": arn}
            if aws_iam.refusal(caller, used, secret.kms_key_id, through):
                refuse("AccessDenied", "Access to KMS is not allowed")

    def call_action(self):
        """An error of the caller is a 400 with its text in Message. Moto uses 404 and "message"."""
        with STATE:
            try:
                if self._get_action() in WRITES:
                    RATE.take()
                if (key := re.search("Credential=([^/]+)", self.headers["Authorization"])[1]) != TESTS:
                    self.check(key)
                status, headers, body = super().call_action()
            except exceptions.SecretsManagerClientError as error:
                status, headers, body = error.code, {}, error.get_body()
        if 400 <= status < 500:
            error = json.loads(body)
            status, body = 400, json.dumps({"__type": error["__type"], "Message": error["message"]})
            headers["status"] = str(status)
        return status, headers, body


class World(DomainDispatcherApplication):
    def __call__(self, environ, start_response):
        """Serves AWS, and under /_world/ what AWS does not tell, such as the steps of a rotation."""
        place, _, name = environ["PATH_INFO"].rpartition("/")
        if not place.startswith("/_world/"):
            ours = "/secretsmanager/" in environ.get("HTTP_AUTHORIZATION", "")
            return (not ours and account().guard(environ) or super().__call__)(environ, start_response)
        rotation = ROTATIONS.get(name)
        report = {"state": rotation.state, "steps": rotation.log} if rotation else None
        if place == "/_world/writes":
            if environ["REQUEST_METHOD"] == "PUT":
                RATE.set(int(name))
            report = {"limit": RATE.limit, "refused": RATE.refused}
        elif place == "/_world/secrets":
            # A test cannot wait for hours, so it moves a secret's dates and the like.
            report = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            with STATE:
                vars(find(report.pop("secret"))).update(report)
        elif place == "/_world/counted":
            report = [failed for function, failed in COUNTED if function == name]
        elif place == "/_world/older":
            seconds = float(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
            with STATE:
                backends = models.secretsmanager_backends.values()
                secrets_ = [s for by_region in backends for b in by_region.values() for s in b.secrets.values()]
                found = [secret for secret in secrets_ if secret.name.rpartition("/")[2] == name]
                for secret in found:
                    secret.grow_older(seconds)
            report = {"secrets": len(found)}
        elif place != "/_world/rotations":
            body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
            report = account().answer(environ["REQUEST_METHOD"], place.removeprefix("/_world/"), name, body)
        answer = Response(json.dumps(report or {}), 200 if report else 404, mimetype="application/json")
        return answer(environ, start_response)


def main():
    """Serves until standard input ends, which happens even if the parent is killed."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--function-url", required=True, help="where Lambda's Invoke API answers")
    arguments.add_argument("--attempts", type=int, default=1, help="how often a failing rotation is run in total")
    arguments.parse_args(namespace=OPTIONS)
    models.FakeSecret, models.secretsmanager_backends.backend = Secret, SecretsManager
    urls.url_paths = dict.fromkeys(urls.url_paths, Api.dispatch)
    MotoRequestHandler.log_request = lambda *_: None
    server = make_server("127.0.0.1", 0, World(create_backend_app), threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(json.dumps({"port": server.server_port}), flush=True)
    # Moto prints warnings, and standard output holds that one line.
    sys.stdout = sys.stderr
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
