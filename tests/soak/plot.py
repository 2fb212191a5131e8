"""Draws what a soak has seen, as PNG and SVG next to the figures: plot.py <figures.json>."""

import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
REQUIREMENTS = ROOT / "tests/soak/requirements.txt"
VENV = ROOT / ".deps/plot"
COLOURS = {"refused": "#c44e52", "lost": "#111111", "lost by the server": "#8c8c8c"}
FAULTS = {"Kill": "K", "Restart": "R", "Failover": "F"}


def installed():
    """Whether this Python is the one with matplotlib. If not, it installs that one and runs this file with it."""
    if pathlib.Path(sys.prefix) == VENV:
        return True
    marker = VENV / REQUIREMENTS.name
    if not marker.exists() or marker.read_bytes() != REQUIREMENTS.read_bytes():
        print(f"installing matplotlib into {VENV.relative_to(ROOT)}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)
        pip = [VENV / "bin/pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes"]
        subprocess.run([*pip, "--requirement", REQUIREMENTS], check=True)
        shutil.copy(REQUIREMENTS, marker)
    subprocess.run([VENV / "bin/python", *sys.argv], check=True)
    return False


def lanes(axes, figures):
    """A lane for each kind of client, with a mark for each login or piece of work that went wrong."""
    clients = figures["clients"][::-1]
    for rotation in figures["rotations"]:
        axes.axvspan(rotation["from"], rotation["to"], color="#e8eef7", linewidth=0)
        if rotation["outage"]:
            axes.axvspan(*rotation["outage"], color="#f6d9a8", linewidth=0)
        if rotation["fault"]:
            place = (rotation["from"] + rotation["to"]) / 2
            axes.text(place, len(clients) - 0.4, FAULTS[rotation["fault"]], fontsize=5, ha="center", va="bottom")
    for lane, client in enumerate(clients):
        for level, (kind, colour) in enumerate(COLOURS.items()):
            axes.plot(client[kind], [lane + 0.25 - level * 0.25] * len(client[kind]), "|", color=colour, markersize=6)
    axes.set_yticks(range(len(clients)), [client["name"] for client in clients])
    axes.set_ylim(-0.6, len(clients) - 0.3)
    for kind, colour in COLOURS.items():
        label = {"refused": "login refused", "lost": "work lost"}.get(kind, kind)
        axes.plot([], [], "|", color=colour, label=label)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.16), ncols=3, frameon=False, fontsize=8)


def waits(axes, figures):
    """How long the slowest piece of work of each second took."""
    for client in figures["clients"]:
        slowest = {}
        for at, took in client["waits"]:
            slowest[int(at)] = max(slowest.get(int(at), 0), took)
        seconds = sorted(slowest)
        style = "-" if client["name"].startswith("example") else ":"
        axes.plot(seconds, [slowest[second] for second in seconds], style, linewidth=0.8, label=client["name"])
    axes.set_yscale("log")
    axes.set_ylabel("slowest work, s")
    axes.set_xlabel("seconds; blue: rotation; orange: server out of use; K: function killed, R: restart, F: failover")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, frameon=False, fontsize=7)


def main():
    from matplotlib import pyplot

    path = pathlib.Path(sys.argv[1]).resolve()
    figures = json.loads(path.read_text())
    pyplot.rcParams.update({"svg.fonttype": "none", "axes.spines.top": False, "axes.spines.right": False})
    figure, (above, below) = pyplot.subplots(2, 1, sharex=True, figsize=(14, 7.5), height_ratios=(3, 2))
    figure.suptitle(f"{figures['title']}: {len(figures['rotations'])} rotations", x=0.01, ha="left")
    lanes(above, figures)
    waits(below, figures)
    figure.tight_layout()
    for kind in ("png", "svg"):
        figure.savefig(path.with_suffix(f".{kind}"), dpi=110)
        print(f"  {path.with_suffix(f'.{kind}').relative_to(ROOT)}")


if __name__ == "__main__":
    if installed():
        main()
