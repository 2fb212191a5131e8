"""CloudWatch Logs Insights: runs a query over given lines. It knows what the dashboard uses, and nothing else."""

import re

PIECE = re.compile(r"`[^`]*`|'[^']*'|[@\w.]+|\s+|.")
TOKEN = re.compile(r"`([^`]*)`|('[^']*')|(\d+)\b|([@A-Za-z_][\w.]*)(\s*\()?|(\S)")
OPERATORS = ("and", "or")
# No field has one of these names without backticks.
RESERVED = (*OPERATORS, "as", "asc", "by", "desc", "display", "fields", "filter", "limit", "sort", "stats")


def split(text, separator):
    """The parts between these words or signs, where they stand in no quotes and no brackets."""
    parts, depth = [""], 0
    for piece in PIECE.findall(text):
        depth += (piece == "(") - (piece == ")")
        if piece == separator and not depth:
            parts.append("")
        else:
            parts[-1] += piece
    return [part.strip() for part in parts]


class Query:
    def __init__(self, lines, now):
        self.rows, self.columns = [dict(line) for line in lines], []
        # The fields of the log that the query reads, and those that it has made.
        self.fields, self.made = set(), set()
        self.functions = {
            "coalesce": lambda *values: next((value for value in values if value is not None), None),
            "ispresent": lambda value: value is not None,
            "now": lambda: now,
            "substr": lambda text, start, length: text[start : start + length],
            "strcontains": lambda text, part: int(part in text),
            # A time is a number of milliseconds already.
            "toMillis": lambda time: time,
        }

    def term(self, text):
        """The function that computes an expression for a row. Without a value the result is None."""
        code = []
        for name, quoted, number, word, call, sign in TOKEN.findall(text):
            if call and word not in OPERATORS:
                code.append(f"functions[{word!r}](")
            elif name or word and word not in OPERATORS:
                if word in RESERVED:
                    raise ValueError(f"{word} is no field in {text!r}")
                if (name or word) not in self.made:
                    self.fields.add(name or word)
                code.append(f"row.get({name or word!r})")
            else:
                code.append("==" if sign == "=" else quoted or number or word + call or sign)
        compiled = compile(" ".join(code), text, "eval")

        def value(row):
            try:
                return eval(compiled, {"functions": self.functions, "row": row})
            except TypeError:
                return None

        return value

    def named(self, text):
        """The expressions of a list, by the name that `as` gives them."""
        pairs = [split(part, "as") for part in split(text, ",")]
        return {pair[-1].strip("`"): pair[0] for pair in pairs}

    def make(self, named):
        """Gives each row these values, too; their names."""
        terms = {name: self.term(text) for name, text in named.items()}
        for row in self.rows:
            row |= {name: term(row) for name, term in terms.items()}
        self.made |= {name for name in terms if name not in self.fields}
        return list(terms)

    def stats(self, text):
        """One row for each group. The newest value of a column counts."""
        newest, by = split(text, "by")
        by = self.make(self.named(by))
        terms = {name: self.term(re.fullmatch(r"latest\((.*)\)", term)[1]) for name, term in self.named(newest).items()}
        groups = {}
        for row in sorted(self.rows, key=lambda row: row["@timestamp"]):
            key = tuple(row[name] for name in by)
            values = {name: term(row) for name, term in terms.items()}
            values = {name: value for name, value in values.items() if value is not None}
            groups[key] = groups.get(key, {}) | dict(zip(by, key)) | values
        self.rows, self.columns = list(groups.values()), [*by, *terms]
        self.made |= set(self.columns)

    def sort(self, text):
        for part in reversed(split(text, ",")):
            expression, _, order = part.partition(" ")
            term = self.term(expression)
            self.rows.sort(key=lambda row: (term(row) is not None, term(row)), reverse=order == "desc")

    def run(self, command):
        name, _, rest = command.partition(" ")
        if name == "filter":
            term = self.term(rest)
            self.rows = [row for row in self.rows if term(row)]
        elif name == "fields":
            self.columns += self.make(self.named(rest))
        elif name == "display":
            self.columns = self.make(self.named(rest))
        elif name == "limit":
            self.rows = self.rows[: int(rest)]
        else:
            {"stats": self.stats, "sort": self.sort}[name](rest)


def answer(query, group, lines, now):
    """What the query shows at that time, in seconds since 1970. Each line has its `@timestamp` in milliseconds."""
    source, *commands = split(query, "|")
    if source != f"SOURCE '{group}'":
        raise ValueError(f"{source} is not the log group {group}")
    run = Query(lines, now)
    for command in commands:
        run.run(command)
    rows = [[row.get(column) for column in run.columns] for row in run.rows]
    return {"columns": run.columns, "rows": rows, "fields": sorted(run.fields)}
