"""Asks the deployed function for an operation, by the AWS CLI, and prints its answer as a table."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

# Each operation with the options that it takes.
OPTIONS = {"status": (), "preflight": (), "rotate": (), "recover": ("DryRun", "Prefer"), "retire": ("Terminate",)}


def main():
    """Exit status 0: done; 1: refused, not ready, or not retired; 2: it could not be asked."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("operation", choices=OPTIONS)
    arguments.add_argument("--secret", required=True, help="the secret's name or ARN")
    arguments.add_argument("--function", required=True, help="the function's name or ARN")
    arguments.add_argument("--via", choices=("lambda", "secrets-manager"), default="lambda", help="who rotates")
    arguments.add_argument("--dry-run", type=flag, default=False, help="recover: only say what would be done")
    arguments.add_argument("--prefer", choices=("forward", "back", ""), default="", help="recover: which way out")
    arguments.add_argument("--terminate", type=flag, default=False, help="retire: end the sessions of the old password")
    given = arguments.parse_args()
    event = {"Operation": given.operation, "SecretId": given.secret}
    options = {"DryRun": given.dry_run, "Prefer": given.prefer, "Terminate": given.terminate}
    for option, value in options.items():
        if value and option not in OPTIONS[given.operation]:
            stop(f"{option} is not for {given.operation}")
        event |= {option: value} if value else {}
    if given.via != "lambda" and given.operation != "rotate":
        stop("VIA=secrets-manager is for rotate alone")
    if not shutil.which("aws"):
        stop("the AWS CLI is missing: install it, see https://docs.aws.amazon.com/cli/")
    if given.via == "secrets-manager":
        return rotate_via_secrets_manager(given.secret)
    failed, answer = invoke(given.function, event)
    if failed:
        print(f"{answer.get('errorType', 'error')}: {answer.get('errorMessage', answer)}" if isinstance(answer, dict) else answer)
        return 1
    if not isinstance(answer, dict) or answer.get("Operation") != given.operation:
        stop(f"{given.function} is no function that rotates secrets: it answered {json.dumps(answer)[:200]}")
    show(answer)
    return 1 if False in (answer.get("Ready"), answer.get("Retired")) else 0


def flag(text):
    """Whoever says no means it."""
    if text.lower() in ("1", "yes", "true"):
        return True
    if text.lower() in ("", "0", "no", "false"):
        return False
    raise argparse.ArgumentTypeError(f"{text!r} is neither 1 nor 0")


def stop(problem):
    print(f"make: {problem}", file=sys.stderr)
    sys.exit(2)


def aws(*arguments):
    """The CLI's own error is for the person as it is. It does not try again: what it asked for may have been done."""
    environment = os.environ | {"AWS_MAX_ATTEMPTS": "1", "AWS_PAGER": ""}
    done = subprocess.run(["aws", *arguments, "--output", "json"], stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        sys.exit(2)
    return json.loads(done.stdout or "null")


def invoke(function, event):
    """The CLI says whether the function failed, and writes its answer, which holds no secret value, to a file."""
    with tempfile.TemporaryDirectory() as folder:
        payload, answer = f"{folder}/event.json", f"{folder}/answer.json"
        with open(payload, "w") as file:
            json.dump(event, file)
        # A file of bytes is what both versions of the CLI take; and it must not give up, and ask again, before the function does.
        call = ("--function-name", function, "--payload", f"fileb://{payload}", "--cli-read-timeout", "900", answer)
        said = aws("lambda", "invoke", *call)
        with open(answer) as file:
            return "FunctionError" in said, json.load(file)


def rotate_via_secrets_manager(secret):
    """Secrets Manager answers before the rotation ends, so the labels tell when it has."""
    token = aws("secretsmanager", "rotate-secret", "--secret-id", secret)["VersionId"]
    print(f"{secret}: Secrets Manager rotates to version {token}", end="", flush=True)
    for _ in range(60):
        labels = aws("secretsmanager", "describe-secret", "--secret-id", secret).get("VersionIdsToStages", {})
        if "AWSCURRENT" in labels.get(token, []):
            print("\nRotated: AWSCURRENT is on that version.")
            return 0
        print(".", end="", flush=True)
        time.sleep(1)
    print("\nNot done within a minute: `make status` says where it stands, the function's log why.")
    return 1


def show(answer):
    title = [answer["SecretId"], answer.get("Strategy", ""), answer["Operation"], f"{answer['DurationMs']} ms"]
    print("  ".join(filter(None, title)))
    print(answer["Message"])
    if answer.get("Done"):
        print("\nBefore that:")
    versions = ("Label", "VersionId", "Age", "Role", "Database", "Reason")
    table(versions, [{**version, "Age": age(version.get("AgeSeconds"))} for version in answer.get("Versions", [])])
    stored = answer.get("PasswordStoredAs", {})
    users = [{"Role": role, "Sessions": count, "Password stored as": stored.get(role)} for role, count in answer.get("Sessions", {}).items()]
    table(("Role", "Sessions", "Password stored as"), users)
    table(("Step", "ms", "Message"), [{**step, "ms": step["DurationMs"]} for step in answer.get("Steps", [])])
    table(("Hop", "Passed", "ms", "Message"), hop_rows(answer.get("Hops", [])))
    clients = [{**client, "Oldest": age(client.get("OldestSeconds"))} for client in answer.get("Clients", [])]
    table(("ApplicationName", "Address", "Sessions", "Oldest"), clients)
    if schedule := answer.get("Schedule"):
        due = schedule.get("NextRotationInSeconds")
        next_one = "" if due is None else f", next in {age(due)}" if due >= 0 else f", OVERDUE by {age(-due)}"
        last = schedule.get("LastRotatedSecondsAgo")
        print(f"\nrotation {'on' if schedule.get('RotationEnabled') else 'off'}, {'never done' if last is None else f'last {age(last)} ago'}{next_one}")
    if answer["Operation"] == "status":
        print(f"recover would do: {answer['Remedy']}")


def hop_rows(hops):
    """What stopped the first one is said above the table."""
    first = next((hop for hop in hops if not hop["Passed"]), None)
    return [
        {**hop, "Passed": "yes" if hop["Passed"] else "NO", "ms": hop["DurationMs"], "Message": None if hop is first else hop.get("Message")}
        for hop in hops
    ]


def table(columns, rows):
    """Columns that hold nothing are left out."""
    rows = [{column: "" if row.get(column) is None else str(row[column]) for column in columns} for row in rows]
    columns = [column for column in columns if any(row[column] for row in rows)]
    if not columns:
        return
    widths = [max(len(line[column]) for line in [*rows, {column: column}]) for column in columns]
    print()
    for row in [dict(zip(columns, columns)), *rows]:
        print("  " + "  ".join(row[column].ljust(width) for column, width in zip(columns, widths)).rstrip())


def age(seconds):
    """In the largest unit of which there is one at least."""
    if seconds is None:
        return ""
    unit, name = next(((unit, name) for unit, name in ((86400, "d"), (3600, "h"), (60, "min")) if seconds >= unit), (1, "s"))
    return f"{seconds // unit} {name}"


if __name__ == "__main__":
    sys.exit(main())
