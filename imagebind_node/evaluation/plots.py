"""Pictures of results, by matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imagebind_node.drawing import COLOURS
from imagebind_node.errors import InvalidInputError, MissingDependencyError

FORMATS = (".png", ".svg", ".pdf")
_PANELS = {
    "recall_at_1": "R@1 (%)",
    "recall_at_5": "R@5 (%)",
    "percentile": "percentile of the right one (%)",
}


def check_plot(path: Path) -> None:
    """Before the work: raise MissingDependencyError without matplotlib, InvalidInputError for another ending."""
    if path.suffix.lower() not in FORMATS:
        raise InvalidInputError(f"{path}: a plot ends in {', '.join(FORMATS)}")
    _figure()


def plot_vision_models(reports: dict[str, Any], path: Path) -> None:
    """One panel a metric, one group of bars a task, one bar a model, its 95 % interval and a line at chance.

    reports: model name to what `judge_features` returns. Needs no display. Raises InvalidInputError if `path` cannot
    be written.
    """
    check_plot(path)
    tasks = next(iter(reports.values()))["tasks"]
    figure = _figure()(figsize=(10, 2.2 + 0.28 * len(tasks) * len(reports)), layout="constrained")
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    height = 0.8 / len(reports)
    for axis, (metric, title) in zip(axes, _PANELS.items()):
        for number, (name, report) in enumerate(reports.items()):
            for place, task in enumerate(tasks):
                found = report["tasks"][task][metric]
                value, (low, high) = 100 * found["value"], (100 * bound for bound in found["ci95"])
                y = place + (number - (len(reports) - 1) / 2) * height
                red, green, blue = COLOURS[number % len(COLOURS)]
                axis.barh(
                    y,
                    value,
                    height * 0.9,
                    xerr=[[max(value - low, 0)], [max(high - value, 0)]],
                    color=(red / 255, green / 255, blue / 255),
                    label=name if place == 0 else None,
                    error_kw={"lw": 1},
                )
        for place, found in enumerate(tasks.values()):
            chance = 100 * found[metric]["chance"]
            axis.plot([chance, chance], [place - 0.45, place + 0.45], color="black", ls=":", lw=1)
        axis.set_title(title)
        axis.set_xlim(left=0)
    labels = [name.replace("_", " ") + (" *" if found["emergent"] else "") for name, found in tasks.items()]
    axes[0].set_yticks(range(len(tasks)), labels)
    axes[0].invert_yaxis()
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False)
    try:
        figure.savefig(path, dpi=110)
    except OSError as error:
        raise InvalidInputError(f"cannot write {path}: {error.strerror}") from None


def _figure() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(f"plots need: pip install 'imagebind_node[plots]' ({error})") from None
    return Figure
