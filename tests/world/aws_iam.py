"""IAM: whether a role's policies allow an action, as AWS evaluates them. An unknown element is an error."""

import io
import json
import re
import urllib.parse

from moto.core import DEFAULT_ACCOUNT_ID as ACCOUNT
from moto.iam.models import iam_backends
from moto.sts.models import sts_backends
from werkzeug.wrappers import Response

# The condition keys that the emulator sets, or knows to be absent.
KEYS = {
    "aws:sourceaccount", "aws:sourcearn", "kms:encryptioncontext:secretarn", "kms:viaservice",
    "lambda:sourcefunctionarn", "secretsmanager:resource/allowrotationlambdaarn", "secretsmanager:secretid",
}  # fmt: skip
TAG = "aws:resourcetag/"
CREDENTIAL = re.compile(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/")
TESTS, REGION = "testing", "eu-central-1"
SECRETS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret"


def listed(value):
    return value if isinstance(value, list) else [value]


def like(value, pattern):
    """Matches a pattern whose only wildcards are `*` and `?`."""
    expression = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(expression, value, re.DOTALL) is not None


def arn_like(value, pattern):
    """Matches an ARN part by part: it has six."""
    values, patterns = value.split(":", 5), pattern.split(":", 5)
    return pattern == "*" or (len(values) == len(patterns) and all(map(like, values, patterns)))


COMPARISONS = {
    "StringEquals": str.__eq__, "StringLike": like, "ArnEquals": arn_like, "ArnLike": arn_like,
    "StringEqualsIgnoreCase": lambda value, wanted: value.lower() == wanted.lower(),
    "Bool": lambda value, wanted: value.lower() == wanted.lower(),
}  # fmt: skip


def holds(operator, key, wanted, context):
    """Whether one line of a condition holds: one wanted value has to match, or none if the operator is negated."""
    key, wanted = key.lower(), [str(value) for value in listed(wanted)]
    if key not in KEYS and not key.startswith(TAG):
        raise NotImplementedError(f"condition key {key}")
    quantifier, _, name = operator.rpartition(":")
    if quantifier not in ("", "ForAnyValue", "ForAllValues"):
        raise NotImplementedError(f"condition operator {operator}")
    value = context.get(key)
    if name == "Null":
        return (value is None) == (wanted[0].lower() == "true")
    name, optional = name.removesuffix("IfExists"), name.endswith("IfExists")
    negated, name = "Not" in name, name.replace("Not", "")
    if name not in COMPARISONS:
        raise NotImplementedError(f"condition operator {operator}")
    if value is None:
        return optional or quantifier == "ForAllValues" or (negated and not quantifier)
    results = [any(COMPARISONS[name](each, want) for want in wanted) != negated for each in listed(value)]
    return all(results) if quantifier == "ForAllValues" else any(results)


def applies(statement, action, resource, context):
    if unknown := statement.keys() - {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}:
        raise NotImplementedError(f"{unknown} in a policy's statement")
    conditions = statement.get("Condition", {}).items()
    return (
        any(like(action.lower(), pattern.lower()) for pattern in listed(statement["Action"]))
        and any(arn_like(resource, pattern) for pattern in listed(statement.get("Resource", "*")))
        and all(holds(operator, key, wanted, context) for operator, keys in conditions for key, wanted in keys.items())
    )


def decision(statements, action, resource, context):
    """The effect that wins: an explicit deny first, and None if nothing applies."""
    effects = {statement["Effect"] for statement in statements if applies(statement, action, resource, context)}
    return "Deny" if "Deny" in effects else "Allow" if effects else None


def role(arn):
    return iam_backends[ACCOUNT]["aws"].get_role_by_arn(arn)


def policies(arn):
    """The documents of the role's inline and attached policies, by name."""
    held = role(arn)
    if held.permissions_boundary:
        raise NotImplementedError("a permissions boundary")
    attached = {name: policy.document for name, policy in held.managed_policies.items()}
    return {name: json.loads(document) for name, document in (held.policies | attached).items()}


def allowed(arn, action, resource, context):
    statements = [statement for policy in policies(arn).values() for statement in listed(policy["Statement"])]
    return decision(statements, action, resource, context)


def trusts(arn, service):
    """Whether the service may assume the role."""
    statements = listed(json.loads(role(arn).assume_role_policy_document)["Statement"])
    meant = [statement for statement in statements if service in listed(statement["Principal"].get("Service", []))]
    return decision(meant, "sts:AssumeRole", arn, {"aws:sourceaccount": ACCOUNT}) == "Allow"


def session(access_key):
    """The session that the access key belongs to."""
    found = sts_backends[ACCOUNT]["aws"].get_assumed_role_from_access_key(access_key)
    if not found:
        raise NotImplementedError(f"credentials {access_key}")
    return found


def refusal(caller, action, resource, context):
    """The text with which AWS denies an action; None if it is allowed."""
    # AWS knows which function a call comes from.
    context = context | {"lambda:sourcefunctionarn": getattr(caller, "function_arn", None)}
    decided = allowed(caller.role_arn, action, resource, context)
    if decided == "Allow":
        return None
    why = (
        "with an explicit deny in an identity-based policy"
        if decided == "Deny"
        else f"because no identity-based policy allows the {action} action"
    )
    return f"User: {caller.arn} is not authorized to perform: {action} on resource: {resource} {why}"


def guard(environ):
    """Refuses what a role may not do with EC2 and STS. Apart from Secrets Manager, the function calls nothing else."""
    who = CREDENTIAL.search(environ.get("HTTP_AUTHORIZATION", ""))
    if not who or who[1] == TESTS:
        return None
    caller = session(who[1])
    if who[2] not in ("ec2", "sts"):
        raise NotImplementedError(f"a role that calls {who[2]}")
    body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
    environ["wsgi.input"] = io.BytesIO(body)
    asked = urllib.parse.parse_qs(body.decode())
    if not (reason := refusal(caller, f"{who[2]}:{asked['Action'][0]}", asked.get("RoleArn", ["*"])[0], {})):
        return None
    message = f"You are not authorized to perform this operation. {reason}"
    error = f"<Error><Code>UnauthorizedOperation</Code><Message>{message}</Message></Error>"
    return Response(f"<Response><Errors>{error}</Errors></Response>", 403, mimetype="text/xml")
