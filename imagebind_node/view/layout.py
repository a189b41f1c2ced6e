"""Names of what the view shows, and how it is arranged in Rerun's viewer; people may rearrange it there."""

from __future__ import annotations

from typing import Any

APPLICATION = "imagebind_node"
TIMELINE = "time"
"""Stamps of the samples."""
CAMERA, DEPTH, THERMAL, SOUND = "camera", "depth", "thermal", "sound"
ACCELERATION, TURN_RATE = "imu/acceleration", "imu/turn_rate"
SIMILARITY, MAP, QUERY, HEALTH = "similarity", "map", "query", "health"
LATENCY, DROPS = "latency", "drops"
_PLOT_SECONDS = 30.0


def blueprint() -> Any:
    """Camera large, the other senses beside it; below, what they mean and how the graph does."""
    import rerun.blueprint as rrb

    def plot(origin: str, name: str, **options: Any) -> Any:
        recent = rrb.VisibleTimeRange(
            TIMELINE,
            start=rrb.TimeRangeBoundary.cursor_relative(seconds=-_PLOT_SECONDS),
            end=rrb.TimeRangeBoundary.cursor_relative(),
        )
        return rrb.TimeSeriesView(origin=origin, name=name, time_ranges=recent, **options)

    senses = rrb.Vertical(
        rrb.Spatial2DView(origin=SOUND, name="Sound and cues"),
        rrb.Horizontal(
            rrb.Spatial2DView(origin=DEPTH, name="Depth"),
            rrb.Spatial2DView(origin=THERMAL, name="Thermal"),
        ),
        rrb.Horizontal(
            plot(ACCELERATION, "Acceleration (m/s²)"),
            plot(TURN_RATE, "Turn rate (rad/s)"),
        ),
    )
    meaning = rrb.Horizontal(
        rrb.TextDocumentView(origin=QUERY, name="Query and what was found"),
        plot(SIMILARITY, "Similarity to the query", axis_y=rrb.ScalarAxis(range=(-0.2, 1.0))),
        rrb.Spatial2DView(origin=MAP, name="Embedding space"),
        rrb.Vertical(
            plot(LATENCY, "Latency (ms)"),
            rrb.Tabs(plot(DROPS, "Drops"), rrb.TextDocumentView(origin=HEALTH, name="Health")),
        ),
        column_shares=[3, 4, 3, 3],
    )
    top = rrb.Horizontal(
        rrb.Spatial2DView(origin=CAMERA, name="Camera, boxes, heat map"), senses, column_shares=[5, 4]
    )
    return rrb.Blueprint(
        rrb.Vertical(top, meaning, row_shares=[3, 2]),
        rrb.TimePanel(state="collapsed", timeline=TIMELINE),
        collapse_panels=True,
    )
