"""EventBridge Scheduler as the emulator needs it: a schedule that is due, and what its role has to allow."""

import json

import aws_iam
from aws_iam import ACCOUNT, REGION
from moto.scheduler.models import scheduler_backends

SERVICE = "scheduler.amazonaws.com"
# The way to call a function: its name and the event.
INVOKE = None


def groups():
    """The groups without the account's own."""
    held = scheduler_backends[ACCOUNT][REGION].schedule_groups
    return [group for name, group in held.items() if name != "default"]


def resources():
    return {
        "schedule groups": [group.name for group in groups()],
        "schedules": [name for group in groups() for name in group.schedules],
    }


def start(name):
    """Lets the schedule be due: what the function answers, or why it is not called."""
    group = next(group for group in groups() if name in group.schedules)
    target = group.schedules[name].target
    role, function = target["RoleArn"], target["Arn"]
    statements = aws_iam.listed(json.loads(aws_iam.role(role).assume_role_policy_document)["Statement"])
    meant = [statement for statement in statements if statement["Principal"] == {"Service": SERVICE}]
    context = {"aws:sourcearn": group.arn, "aws:sourceaccount": ACCOUNT}
    if aws_iam.decision(meant, "sts:AssumeRole", role, context) != "Allow":
        return {"refused": f"the schedule may not assume {role}"}
    if aws_iam.allowed(role, "lambda:InvokeFunction", function, {}) != "Allow":
        return {"refused": "lambda:InvokeFunction", "role": role.rpartition("/")[2]}
    failed, answer = INVOKE(function.rpartition(":")[2], target["Input"])
    return {"failed": failed, "answer": json.loads(answer), "role": role.rpartition("/")[2]}
