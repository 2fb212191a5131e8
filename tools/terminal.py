"""What is printed on a terminal: tables, ages and colours, of which nothing acts on the terminal itself."""

import json
import os
import sys


def table(columns, rows):
    """Leaves out columns that hold nothing."""
    rows = [{column: clean(row.get(column)) for column in columns} for row in rows]
    columns = [column for column in columns if any(row[column] for row in rows)]
    if not columns:
        return
    widths = [max(len(line[column]) for line in [*rows, {column: column}]) for column in columns]
    print()
    for row in [dict(zip(columns, columns)), *rows]:
        print("  " + "  ".join(row[column].ljust(width) for column, width in zip(columns, widths)).rstrip())


def clean(value):
    """The value as one line. A server may have chosen it, so nothing in it may act on the terminal."""
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def age(seconds):
    """In the largest unit of which there is at least one."""
    if seconds is None:
        return ""
    units = ((86400, "d"), (3600, "h"), (60, "min"))
    unit, name = next(((unit, name) for unit, name in units if seconds >= unit), (1, "s"))
    return f"{seconds // unit} {name}"


def paint(text, colour):
    wanted = sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return f"\033[{colour}m{text}\033[0m" if wanted else text
