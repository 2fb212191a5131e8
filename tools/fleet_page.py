"""The health of all secrets as one page of HTML. It has no script and loads nothing."""

import datetime
import html
import json

STYLE = """
:root { color-scheme: light; --ink: #1b1f24; --soft: #5c6670; --line: #dfe3e8; --ground: #f6f7f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 24px 48px; }
h1 { font-size: 25px; margin: 0 0 2px; }
h2 { font-size: 17px; margin: 30px 0 8px; }
p { margin: 0; }
.soft { color: var(--soft); }
.tiles { display: flex; flex-wrap: wrap; gap: 10px; margin: 18px 0 0; padding: 0; list-style: none; }
.tiles li { background: #fff; border: 1px solid var(--line); border-left: 5px solid var(--state); border-radius: 6px;
  padding: 6px 16px 7px 12px; min-width: 92px; }
.tiles b { display: block; font-size: 22px; line-height: 1.2; }
.tiles li.none { opacity: .45; }
table { width: 100%; border-collapse: collapse; background: #fff; border: 1px solid var(--line); font-size: 14px; }
th { text-align: left; font-weight: 600; color: var(--soft); font-size: 12.5px; background: #fbfcfd; }
th, td { padding: 7px 10px; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td.secret { min-width: 210px; }
td.time, td.short { white-space: nowrap; overflow-wrap: normal; }
.state { display: inline-block; padding: 1px 9px; border-radius: 10px; color: #fff; background: var(--state);
  font-size: 12.5px; font-weight: 600; white-space: nowrap; }
code { font: 12.5px/1.4 ui-monospace, "DejaVu Sans Mono", monospace; }
td code { display: inline-block; background: var(--ground); border: 1px solid var(--line); border-radius: 4px;
  padding: 1px 7px; margin-top: 4px; }
.bar { position: relative; height: 12px; width: 250px; max-width: 100%; margin-top: 4px; background: #eceff2;
  border-radius: 3px; overflow: hidden; }
.bar i { position: absolute; inset: 0 auto 0 0; background: var(--state); }
.bar u { position: absolute; top: 0; bottom: 0; left: 66.667%; border-left: 2px solid var(--ink); }
.mismatch { --state: #a4123f; } .expired { --state: #c22e12; } .stuck { --state: #b8530a; }
.overdue { --state: #b8530a; } .unreachable { --state: #7a4a3a; } .expiring { --state: #8a6a00; }
.disabled, .unknown { --state: #5c6670; } .never_rotated { --state: #5b57a6; } .ok { --state: #22863a; }
.failed { --state: #c22e12; }
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { background: #fff; font-size: 11px; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  main { max-width: none; padding: 0; }
  table { font-size: 10.5px; }
  thead { display: table-header-group; }
  tr, .tiles li { break-inside: avoid; }
  h2 { break-after: avoid; }
}
"""


def page(report, states, now):
    """The page: `report` has what `tools/rotation` has found, `states` are the states, worst first."""
    secrets, counts = report["Secrets"], report["Counts"]
    total, good = sum(counts.values()), counts.get("ok", 0)
    wrong = total - good
    verdict = f"{wrong} of {total} secrets need a look." if wrong else "Every secret is in order."
    sub = f"{report['Function']} · {now:%Y-%m-%d %H:%M} UTC"
    tiles = "".join(
        f'<li class="{state}{"" if counts.get(state) else " none"}"><b>{counts.get(state, 0)}</b>{words(state)}</li>'
        for state in [*states, "ok"]
    )
    parts = [
        f"<h1>{text(verdict)}</h1><p class=soft>{text(sub)}</p><ul class=tiles>{tiles}</ul>",
        section("To do, worst first", todo([s for s in secrets if s.get("State") != "ok"])),
        section("Age of each password, against its schedule", ages(secrets)),
        section("Activity", activity(report["Activity"], report["Missing"])),
        '<p class=soft style="margin-top:24px">Each state comes from a login with AWSCURRENT and from what '
        "Secrets Manager says, at the time above. No password is on this page.</p>",
    ]
    return (
        '<!doctype html>\n<html lang=en><head><meta charset=utf-8><meta name=viewport content="width=device-width">'
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Rotation health of {text(report['Function'])}</title><style>{STYLE}</style></head>\n"
        f"<body><main>\n{chr(10).join(parts)}\n</main></body></html>\n"
    )


def todo(secrets):
    if not secrets:
        return "<p>Nothing.</p>"
    rows = [
        [
            ("short", badge(secret.get("State"))),
            ("secret", f"<b>{text(secret['Name'])}</b><br>{who(secret)}"),
            ("short", text(since(secret.get("Since")))),
            ("", "<br>".join(text(line) for line in [secret.get("Reason"), *secret.get("Warnings", [])] if line)
                + (f"<br><code>{text(secret['Command'])}</code>" if secret.get("Command") else "")),
        ]
        for secret in secrets
    ]  # fmt: skip
    return table(["State", "Secret", "Since", "What is wrong, and what to run"], rows)


def ages(secrets):
    def part(secret):
        """The age as a part of the interval; none where there is no schedule."""
        old, due = secret.get("AgeSeconds"), secret.get("NextRotationInSeconds")
        return None if old is None or due is None or old + due <= 0 else old / (old + due)

    rows = []
    for secret in sorted(secrets, key=lambda each: -(part(each) or -1)):
        share, old = part(secret), secret.get("AgeSeconds")
        # Two thirds of a bar are the interval. The rest is the time after its end.
        bar = "" if share is None else f"<i style=width:{min(share / 1.5, 1) * 100:.1f}%></i><u></u>"
        due = secret.get("NextRotationInSeconds")
        coming = "no schedule" if due is None else f"in {span(due)}" if due >= 0 else f"{span(-due)} late"
        rows.append([
            ("secret", f"<b>{text(secret['Name'])}</b><br>{who(secret)}"),
            ("short", badge(secret.get("State"))),
            ("", f'<div class="bar {css(secret.get("State"))}">{bar}</div>'),
            ("short", text(span(old))),
            ("short", text(coming)),
            ("short", text(left(secret.get("ExpiresInSeconds")))),
            ("short", text(left(secret.get("CertificateExpiresInSeconds")))),
        ])  # fmt: skip
    heads = ["Secret", "State", "Age; the line is the next rotation", "Age", "Next", "Expires", "Certificate"]
    return table(heads, rows)


def activity(events, missing):
    if missing:
        return f"<p class=soft>{text(missing)}</p>"
    if not events:
        return "<p class=soft>The log holds no rotation of the last 30 days.</p>"
    rows = [
        [
            ("time", text(event["Time"])),
            ("short", f'<span class="state {"ok" if event["Done"] else "failed"}">{text(event["Outcome"])}</span>'),
            ("", f"<b>{text(event['Name'])}</b>"),
            ("short", text(event["Door"])),
            ("", text(event["Text"])),
            ("short", text(event["Took"])),
        ]
        for event in events
    ]
    return table(["Time (UTC)", "Outcome", "Secret", "By", "What happened", "Took"], rows)


def event(milliseconds, message):
    """A line of the log as a row of the activity; nothing if it is about something else."""
    try:
        line = json.loads(message)
    except ValueError:
        return None
    if not isinstance(line, dict) or not ("rotation.door" in line or line.get("error.kind")):
        return None
    done = "rotation.door" in line
    by = line.get("rotation.door") or line.get("rotation.step") or line.get("operation")
    old, new = (str(line.get(key) or "")[:8] for key in ("secret.old_version_id", "secret.version_id"))
    sessions = line.get("evidence.old_sessions")
    evidence = [
        f"{new} follows {old}" if old else new,
        f"new {line.get('evidence.new')}, old {line.get('evidence.old')}",
        "" if sessions is None else f"{sessions} sessions with the old one",
    ]
    return {
        "Time": f"{datetime.datetime.fromtimestamp(milliseconds / 1000, datetime.timezone.utc):%Y-%m-%d %H:%M:%S}",
        "Done": done,
        "Outcome": "succeeded" if done else line["error.kind"],
        "Name": line.get("secret.name") or str(line.get("secret.arn", "")).partition(":secret:")[2][:-7],
        "Door": by,
        "Text": "; ".join(part for part in evidence if part) if done else line.get("message"),
        "Took": f"{line.get('duration_ms')} ms",
    }


def section(title, body):
    return f"<h2>{text(title)}</h2>{body}"


def table(heads, rows):
    head = "".join(f"<th>{text(each)}</th>" for each in heads)
    kinds = {kind: f' class="{kind}"' if kind else "" for kind in ("", "secret", "short", "time")}
    cells = ("".join(f"<td{kinds[kind]}>{cell}</td>" for kind, cell in row) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def text(value):
    """Text for HTML, also within quotes. A server or the owner of a secret may have chosen it."""
    return html.escape("" if value is None else str(value), quote=True)


def css(state):
    """The name of a style: only letters, since it stands within a tag."""
    return "".join(char for char in str(state) if char.isascii() and (char.isalpha() or char == "_"))


def badge(state):
    return f'<span class="state {css(state)}">{words(state)}</span>'


def words(state):
    return text(str(state).replace("_", " "))


def who(secret):
    named = [part for part in (secret.get("Role"), secret.get("Host")) if part]
    return f"<span class=soft>{text(' on '.join(named))}</span>"


def since(moment):
    try:
        return datetime.datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M")
    except (TypeError, ValueError):
        return moment


def left(seconds):
    return "" if seconds is None else f"in {span(seconds)}" if seconds >= 0 else f"{span(-seconds)} ago"


def span(seconds):
    """In the largest unit of which there are at least two."""
    if seconds is None:
        return ""
    units = ((365 * 86400, "y"), (86400, "d"), (3600, "h"), (60, "min"))
    unit, name = next(((unit, name) for unit, name in units if seconds >= 2 * unit), (1, "s"))
    return f"{int(seconds // unit)} {name}"
