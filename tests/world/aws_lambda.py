"""Lambda: how the service uses a function's role and policy, and what it reports of a function."""

import json
import time
import uuid

import aws_events
import aws_iam
import aws_insights
import aws_scheduler
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
    """Lambda checks the role of a new or changed function: it has to assume it, and to enter the VPC with it."""
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
    # Lambda's guide asks for all resource IDs here.
    needed += [("DeleteNetworkInterface", f"{NETWORK}:*/*")]
    for action, resource in needed:
        if aws_iam.allowed(role, f"ec2:{action}", resource, {}) != "Allow":
            refuse(f"The provided execution role does not have permissions to call {action} on EC2")


class Function(models.LambdaFunction):
    # Moto finds a model's service by the name of the module.
    __module__ = models.__name__

    def __init__(self, account_id, spec, region, version):
        check_role(spec["Role"], spec.get("VpcConfig", {}))
        super().__init__(account_id, spec, region, version)
        self.set_logging(spec.get("LoggingConfig", {}))

    def set_logging(self, given):
        levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"} if given.get("LogFormat") == "JSON" else {}
        self.logging = {"LogFormat": "Text", "LogGroup": f"/aws/lambda/{self.function_name}"} | levels | given

    def get_configuration(self, on_create=False):
        """Adds the logging configuration, which moto forgets."""
        return super().get_configuration(on_create) | {"LoggingConfig": self.logging}

    def update_configuration(self, updates):
        check_role(updates.get("Role", self.role), updates.get("VpcConfig", self._vpc_config or {}))
        self.kms_key_arn = updates.get("KMSKeyArn", self.kms_key_arn)
        self.set_logging(updates.get("LoggingConfig", self.logging))
        return super().update_configuration(updates)

    def lets_in(self, secret):
        """Whether the function's policy lets Secrets Manager call it for that secret."""
        principal = {"Service": "secretsmanager.amazonaws.com"}
        meant = [each for each in self.policy.statements if each["Principal"] == principal]
        context = {"aws:sourcearn": secret, "aws:sourceaccount": ACCOUNT}
        return aws_iam.decision(meant, "lambda:InvokeFunction", self.function_arn, context) == "Allow"

    def start(self):
        """What a new process of the function gets: its variables, and credentials of its role."""
        sts = sts_backends[ACCOUNT]["aws"]
        given = sts.assume_role(REGION, self.function_name, self.role, None, 3600, None)
        given.function_arn = self.function_arn
        credentials = {
            "AWS_ACCESS_KEY_ID": given.access_key_id,
            "AWS_SECRET_ACCESS_KEY": given.secret_access_key,
            "AWS_SESSION_TOKEN": given.session_token,
        }
        return {
            "variables": self.environment_vars,
            "credentials": credentials,
            "timeout": self.timeout,
            "role": self.role.rpartition("/")[2],
        }

    def log(self, text):
        """Writes a process's output to a log stream. Without the role's right to do so, it is lost silently."""
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
    """The deployed function of that name. Lambda does not know those that a test starts."""
    functions = models.lambda_backends[ACCOUNT][REGION]._lambdas._functions
    return functions[name]["latest"] if name in functions else None


def resources():
    """The names of all that a deployment creates, by kind, without the account's default groups."""
    secrets = secretsmanager_backends[ACCOUNT][REGION].secrets.values()
    groups = [group for vpc in ec2_backends[ACCOUNT][REGION].groups.values() for group in vpc.values()]
    rules = [rule for group in groups for rule in [*group.ingress_rules, *group.egress_rules]]
    return {
        "functions": list(models.lambda_backends[ACCOUNT][REGION]._lambdas._functions),
        "roles": [role.name for role in aws_iam.iam_backends[ACCOUNT]["aws"].roles.values()],
        "log groups": list(logs_backends[ACCOUNT][REGION].groups),
        "security groups": [group.name for group in groups if group.name != "default"],
        "security group rules": [rule.description for rule in rules if rule.description],
        "alarms": list(cloudwatch_backends[ACCOUNT][REGION].alarms),
        "dashboards": list(cloudwatch_backends[ACCOUNT][REGION].dashboards),
        "rotations": [secret.name for secret in secrets if secret.rotation_enabled],
    } | aws_events.resources() | aws_scheduler.resources()


def alarms(function):
    """The alarms on the metrics of that function."""
    found = []
    for alarm in cloudwatch_backends[ACCOUNT][REGION].alarms.values():
        dimensions = {each.name: each.value for each in alarm.dimensions}
        if dimensions.get("FunctionName") == function:
            keys = (
                "name", "namespace", "metric_name", "statistic", "period", "evaluation_periods", "threshold",
                "comparison_operator", "treat_missing_data",
            )  # fmt: skip
            found.append({key: getattr(alarm, key) for key in keys} | {"dimensions": dimensions})
    return found


def failed(name):
    """CloudWatch's alarm on the errors of that function goes off and tells its topics. The service takes minutes."""
    from moto.sns.models import sns_backends

    for alarm in cloudwatch_backends[ACCOUNT][REGION].alarms.values():
        watched = (alarm.namespace, alarm.metric_name, {each.name: each.value for each in alarm.dimensions})
        if watched != ("AWS/Lambda", "Errors", {"FunctionName": name}) or alarm.state_value == "ALARM":
            continue
        alarm.update_state("Threshold Crossed", "{}", "ALARM")
        message = {"AlarmName": alarm.name, "AlarmDescription": alarm.description, "NewStateValue": "ALARM"}
        for topic in alarm.alarm_actions:
            sns_backends[ACCOUNT][REGION].publish(json.dumps(message), arn=topic)


def logged(group):
    """The messages of a log group."""
    streams = logs_backends[ACCOUNT][REGION].groups[group].streams.values()
    return [event.message for stream in streams for event in stream.events]


def answer(method, kind, name, body):
    """Answers what the tests ask and AWS has no call for."""
    if kind == "functions" and (function := find(name)):
        return function.log(body) if method == "POST" else function.start()
    if kind == "policies":
        arn = f"arn:aws:iam::{ACCOUNT}:role/{name}"
        if method == "PUT":
            aws_iam.role(arn).policies = {policy: json.dumps(document) for policy, document in json.loads(body).items()}
        return aws_iam.policies(arn)
    if kind == "resources":
        return resources()
    if kind == "alarms":
        return alarms(name)
    if kind == "dashboards":
        return json.loads(cloudwatch_backends[ACCOUNT][REGION].dashboards[name].body)
    if kind == "insights":
        return aws_insights.answer(group=f"/aws/lambda/{name}", **json.loads(body))
    if kind == "schedules":
        return aws_scheduler.start(name)
    if kind == "events":
        return aws_events.SENT.get(name)
    if kind == "logs":
        return logged(f"/aws/lambda/{name}")
    return None


def install(invoke):
    """Puts Lambda into moto, with `invoke` as the way to call a function."""

    aws_scheduler.INVOKE = invoke

    def called(_, function_name, qualifier, body, headers, response_headers):
        failed, text = invoke(function_name.rpartition(":")[2], body)
        if failed:
            response_headers["x-amz-function-error"] = "Unhandled"
        return text.encode()

    models.LambdaFunction, models.LambdaBackend.invoke = Function, called
    # Moto forgets the description of a rule that names another group.
    described = property(lambda rule: rule.ip_range.get("Description") or rule.source_group.get("Description"))
    security_groups.SecurityGroupRule.description = described
