"""EventBridge as the emulator needs it: Secrets Manager's own event, and its way to the targets of rules."""

import json
import threading
import time
import uuid

import aws_iam
from aws_iam import ACCOUNT, REGION
from moto.awslambda.models import lambda_backends
from moto.events.models import events_backends
from moto.sns.models import sns_backends
from moto.sqs.models import sqs_backends
from moto.stepfunctions import urls as stepfunctions_urls
from moto.stepfunctions.models import stepfunctions_backends
from moto.stepfunctions.responses import StepFunctionResponse

SERVICE = "events.amazonaws.com"
# What each target was sent, by the last part of its ARN.
SENT = {}


class Denied(Exception):
    """The target's policy, or the role's, does not let the rule in."""


def label_moved(secret, label, version):
    """Secrets Manager tells the default bus that a label has moved, and does not wait for EventBridge."""
    event = {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Secret Label Updated",
        "source": "aws.secretsmanager",
        "account": ACCOUNT,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "region": REGION,
        "resources": [secret.arn],
        "detail": {"name": secret.name, "labelUpdated": label, "versionId": version},
    }
    threading.Thread(target=deliver, args=(event,), daemon=True).start()


def deliver(event):
    for rule in list(events_backends[ACCOUNT][REGION].event_buses["default"].rules.values()):
        if rule.state != "ENABLED" or not rule.event_pattern.matches_event(event):
            continue
        for target in list(rule.targets):
            try:
                send(rule, target["Arn"], target.get("RoleArn"), json.dumps(event))
            except Denied:
                # Nothing is gained by trying again here: the permissions of a test do not come later.
                if dead_letters := target.get("DeadLetterConfig", {}).get("Arn"):
                    send(rule, dead_letters, None, json.dumps(event))


def send(rule, arn, role, text):
    """Each kind of target has its own way of saying who may reach it."""
    service, name = arn.split(":")[2], arn.split(":", 5)[5]
    if service == "sqs":
        queue = sqs_backends[ACCOUNT][REGION].get_queue(name)
        check(json.loads(queue.policy or "{}").get("Statement", []), "sqs:SendMessage", arn, rule)
        sqs_backends[ACCOUNT][REGION].send_message(name, text)
    elif service == "sns":
        topic = sns_backends[ACCOUNT][REGION].get_topic(arn)
        check(json.loads(topic.policy)["Statement"], "sns:Publish", arn, rule)
        sns_backends[ACCOUNT][REGION].publish(text, arn=arn)
    elif service == "lambda":
        function = lambda_backends[ACCOUNT][REGION].get_function(name.split(":")[1])
        check(function.policy.statements, "lambda:InvokeFunction", function.function_arn, rule)
    elif service == "states":
        if not role or not trusts(role, rule) or aws_iam.allowed(role, "states:StartExecution", arn, {}) != "Allow":
            raise Denied
        stepfunctions_backends[ACCOUNT][REGION].start_execution(arn, "", text)
    else:
        raise NotImplementedError(f"a rule with the target {arn}")
    SENT.setdefault(name.rpartition(":")[2], []).append(json.loads(text))


def check(statements, action, resource, rule):
    meant = [statement for statement in aws_iam.listed(statements) if principal(statement) == SERVICE]
    if aws_iam.decision(meant, action, resource, context(rule)) != "Allow":
        raise Denied


def trusts(role, rule):
    statements = aws_iam.listed(json.loads(aws_iam.role(role).assume_role_policy_document)["Statement"])
    meant = [statement for statement in statements if principal(statement) == SERVICE]
    return aws_iam.decision(meant, "sts:AssumeRole", role, context(rule)) == "Allow"


def principal(statement):
    """The service that a statement names; a statement for accounts names none."""
    named = statement["Principal"]
    return named.get("Service") if isinstance(named, dict) else None


def context(rule):
    return {"aws:sourcearn": rule.arn, "aws:sourceaccount": ACCOUNT}


def resources():
    """The names of all that a deployment creates of these services, by kind."""
    queues = sqs_backends[ACCOUNT][REGION].queues
    return {
        "event rules": list(events_backends[ACCOUNT][REGION].event_buses["default"].rules),
        "queues": list(queues),
        "topics": list(sns_backends[ACCOUNT][REGION].topics),
        "state machines": [machine.name for machine in stepfunctions_backends[ACCOUNT][REGION].state_machines],
    }


class StateMachines(StepFunctionResponse):
    """What Terraform asks of Step Functions, and moto does not know."""

    __module__ = StepFunctionResponse.__module__

    def validate_state_machine_definition(self):
        json.loads(self._get_param("definition"))
        return json.dumps({"result": "OK", "diagnostics": []})

    def list_state_machine_versions(self):
        return json.dumps({"stateMachineVersions": []})


stepfunctions_urls.url_paths = dict.fromkeys(stepfunctions_urls.url_paths, StateMachines.dispatch)
