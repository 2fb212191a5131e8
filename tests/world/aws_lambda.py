"""Lambda as the emulator needs it: what the service does with a function's role and policy, and what it tells of a function."""

import json
import time
import uuid

import aws_iam
from aws_iam import ACCOUNT, REGION, guard
from moto.awslambda import exceptions, models
from moto.cloudwatch.models import cloudwatch_backends
from moto.ec2.models import ec2_backends, security_groups
from moto.logs.models import logs_backends
from moto.secretsmanager.models import secretsmanager_backends
from moto.sts.models import sts_backends

NETWORK = f"arn:aws:ec2:{REGION}:{ACCOUNT}"


def refuse(message):
    raise exceptions.LambdaClientError("InvalidParameterValueException", message)


def check_role(role, network):
    """Lambda tries the role when a function is made or changed: it has to be able to take it on, and to put the function into its VPC."""
    if not aws_iam.trusts(role, "lambda.amazonaws.com"):
        refuse("The role defined for the function cannot be assumed by Lambda.")
    if not network.get("SubnetIds"):
        return
    interface = f"{NETWORK}:network-interface/*"
    places = [f"{NETWORK}:subnet/{id}" for id in network["SubnetIds"]]
    places += [f"{NETWORK}:security-group/{id}" for id in network["SecurityGroupIds"]]
    needed = [("CreateNetworkInterface", resource) for resource in (interface, *places)]
    needed += [(action, interface) for action in ("AssignPrivateIpAddresses", "UnassignPrivateIpAddresses")]
    needed += [(action, "*") for action in ("DescribeNetworkInterfaces", "DescribeSubnets")]
    # This one is tried without naming an interface: the Lambda guide asks for all resource IDs.
    needed += [("DeleteNetworkInterface", f"{NETWORK}:*/*")]
    for action, resource in needed:
        if aws_iam.allowed(role, f"ec2:{action}", resource, {}) != "Allow":
            refuse(f"The provided execution role does not have permissions to call {action} on EC2")


class Function(models.LambdaFunction):
    # Moto looks a model's service up by the name of the module.
    __module__ = models.__name__

    def __init__(self, account_id, spec, region, version):
        check_role(spec["Role"], spec.get("VpcConfig", {}))
        super().__init__(account_id, spec, region, version)
        self.set_logging(spec.get("LoggingConfig", {}))

    def set_logging(self, given):
        levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"} if given.get("LogFormat") == "JSON" else {}
        self.logging = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"} | levels | given

    def get_configuration(self, on_create=False):
        """Moto forgets how the function logs."""
        return super().get_configuration(on_create) | {"LoggingConfig": self.logging}

    def update_configuration(self, updates):
        check_role(updates.get("Role", self.role), updates.get("VpcConfig", self._vpc_config or {}))
        self.kms_key_arn = updates.get("KMSKeyArn", self.kms_key_arn)
        self.set_logging(updates.get("LoggingConfig", self.logging))
        return super().update_configuration(updates)

    def lets_in(self, secret):
        """Whether the function's policy lets Secrets Manager call it for that secret."""
        meant = [each for each in self.policy.statements if each["Principal"] == {"Service": "secretsmanager.amazonaws.com"}]
        context = {"aws:sourcearn": secret, "aws:sourceaccount": ACCOUNT}
        return aws_iam.decision(meant, "lambda:InvokeFunction", self.function_arn, context) == "Allow"

    def start(self):
        """What a new process of the function is given: its variables, and credentials of its role."""
        sts = sts_backends[ACCOUNT]["aws"]
        given = sts.assume_role(REGION, self.function_name, self.role, None, 3600, None)
        given.function_arn = self.function_arn
        credentials = {
            "AWS_ACCESS_KEY_ID": given.access_key_id,
            "AWS_SECRET_ACCESS_KEY": given.secret_access_key,
            "AWS_SESSION_TOKEN": given.session_token,
        }
        return {"variables": self.environment_vars, "credentials": credentials, "timeout": self.timeout, "role": self.role.rpartition("/")[2]}

    def log(self, text):
        """The output of a process becomes a log stream, by the role's rights; where these do not suffice it is lost without a word."""
        group, stream = self.logging["LogGroup"], f"{time.strftime('%Y/%m/%d')}/[$LATEST]{uuid.uuid4().hex}"
        resource = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:{group}:log-stream:{stream}"
        logs = logs_backends[ACCOUNT][REGION]
        for action in ("logs:CreateLogStream", "logs:PutLogEvents"):
            if aws_iam.allowed(self.role, action, resource, {}) != "Allow":
                return
        if group in logs.groups:
            logs.create_log_stream(group, stream)
            events = [{"timestamp": int(time.time() * 1000), "message": line} for line in text.splitlines()]
            logs.put_log_events(group, stream, events)


def find(name):
    """A function that Lambda knows; those that a test runs by itself it does not."""
    functions = models.lambda_backends[ACCOUNT][REGION]._lambdas._functions
    return functions[name]["latest"] if name in functions else None


def resources():
    """Names of all that a deployment makes, by kind; the account's own default groups are left out."""
    secrets = secretsmanager_backends[ACCOUNT][REGION].secrets.values()
    groups = [group for vpc in ec2_backends[ACCOUNT][REGION].groups.values() for group in vpc.values()]
    return {
        "functions": list(models.lambda_backends[ACCOUNT][REGION]._lambdas._functions),
        "roles": [role.name for role in aws_iam.iam_backends[ACCOUNT]["aws"].roles.values()],
        "log groups": list(logs_backends[ACCOUNT][REGION].groups),
        "security groups": [group.name for group in groups if group.name != "default"],
        "security group rules": [rule.description for group in groups for rule in [*group.ingress_rules, *group.egress_rules] if rule.description],
        "alarms": list(cloudwatch_backends[ACCOUNT][REGION].alarms),
        "rotations": [secret.name for secret in secrets if secret.rotation_enabled],
    }


def logged(group):
    """All that the log group holds."""
    streams = logs_backends[ACCOUNT][REGION].groups[group].streams.values()
    return [event.message for stream in streams for event in stream.events]


def answer(method, kind, name, body):
    """What the tests ask the emulator beside AWS's API."""
    if kind == "functions" and (function := find(name)):
        return function.log(body) if method == "POST" else function.start()
    if kind == "policies":
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        if method == "PUT":
            aws_iam.role(arn).policies = {policy: json.dumps(document) for policy, document in json.loads(body).items()}
        return aws_iam.policies(arn)
    if kind == "resources":
        return resources()
    if kind == "logs":
        return logged(f"/aws/lambda/{name}")
    return None


def install(invoke):
    """Puts Lambda into moto, with the way by which a function is called."""

    def called(_, function_name, qualifier, body, headers, response_headers):
        failed, text = invoke(function_name.rpartition(":")[2], body)
        if failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        return text.encode()

    models.LambdaFunction, models.LambdaBackend.invoke = Function, called
    # Moto forgets the description of a rule that names another group.
    described = property(lambda rule: rule.ip_range.get("Description") or rule.source_group.get("Description"))
    security_groups.SecurityGroupRule.description = described
