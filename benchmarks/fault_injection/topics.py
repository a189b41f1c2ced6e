"""Faults of what comes over topics: sources that end, freeze, lie about the time or send what cannot be used."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from senses import RATES

from fault_injection.graph import FaultGraph, Outcome

SENDERS = Path(__file__).resolve().parents[1] / "senses.py"


def pause(graph: FaultGraph) -> Iterator[Outcome]:
    """All sources fall silent for a while, and come back."""
    senses = graph.senses
    senses.silent = set(RATES)
    time.sleep(graph.fault_seconds)
    before = graph.counters("received", RATES)
    messages = {sense: graph.status[f"{graph.namespace}/encoder: {sense}"][2] for sense in RATES}
    senses.sent = dict.fromkeys(RATES, 0)
    back = time.monotonic()
    senses.silent = set()
    times = graph.recoveries(RATES, back)
    lost = _lost(graph, before)
    for sense in RATES:
        yield Outcome("source pauses", sense, messages[sense], times[sense], lost[sense])


def publisher_killed(graph: FaultGraph) -> Iterator[Outcome]:
    """The process that publishes is killed by SIGKILL, and another one takes its place."""
    senses = graph.senses
    senses.silent = set(RATES)
    command = [sys.executable, str(SENDERS), "--namespace", graph.namespace]
    for last in (False, True):
        sender = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert sender.stdout is not None
        back = float(sender.stdout.readline())
        times = graph.recoveries(RATES, back)
        if last:
            break
        gaps_before = graph.counters("lost frames", ["audio"])["audio"]
        sender.kill()
        sender.wait()
        time.sleep(graph.fault_seconds)
    gaps = graph.counters("lost frames", ["audio"])["audio"] - gaps_before
    sender.kill()
    sender.wait()
    senses.silent = set()
    graph.recoveries(RATES, time.monotonic())
    for sense in RATES:
        happened = "the new process is discovered and heard"
        yield Outcome(
            "publisher SIGKILLed", sense, happened, times[sense], gaps if sense == "audio" else None
        )


def frozen(graph: FaultGraph) -> Iterator[Outcome]:
    """The same picture with new stamps, then the same message over and over."""
    still = copy.deepcopy(graph.senses._messages["vision"][0])

    def same_picture(message: Any, number: int) -> Any:
        still.header.stamp = copy.copy(message.header.stamp)
        return still

    yield _altered(graph, "frozen picture, new stamps", "vision", same_picture)
    yield _altered(graph, "frozen picture and stamp", "vision", lambda message, number: still)


def unusable_pictures(graph: FaultGraph) -> Iterator[Outcome]:
    """Depth without a measurement, and pictures that are not what they say."""
    zero, nan = (np.full((480, 640), value, np.float32).tobytes() for value in (0.0, np.nan))
    yield _altered(graph, "depth all zero", "depth", _with(data=zero))
    yield _altered(graph, "depth all NaN", "depth", _with(data=nan))
    yield _altered(graph, "unknown encoding", "vision", _with(encoding="yuv411p"))
    yield _altered(graph, "depth as rgb8", "depth", _with(encoding="rgb8"))
    yield _altered(graph, "truncated picture", "vision", _with(data=bytes(1000)))
    yield _altered(graph, "rows shorter than the width", "thermal", _with(step=10))


def unusable_signals(graph: FaultGraph) -> Iterator[Outcome]:
    """NaN in sound and motion."""
    yield _altered(graph, "sound all NaN", "audio", _with(data=np.full(320, np.nan, np.float32).tobytes()))
    yield _altered(graph, "0 channels", "audio", _with(channels=0))

    def nan(message: Any, number: int) -> Any:
        changed = copy.deepcopy(message)
        changed.angular_velocity.x = float("nan")
        return changed

    yield _altered(graph, "IMU NaN", "imu", nan)


def driver_clock(graph: FaultGraph) -> Iterator[Outcome]:
    """One driver's clock is an hour off for a while."""
    for sense in ("vision", "audio", "imu"):
        for hours in (1, -1):

            def shift(message: Any, number: int, hours: int = hours) -> Any:
                message.header.stamp.sec += hours * 3600
                return message

            yield _altered(graph, f"driver's clock {hours:+d} h", sense, shift, key="clock jumps")


def disorder(graph: FaultGraph) -> Iterator[Outcome]:
    """Every message twice, and every fourth after the one that follows it."""
    for sense in ("vision", "audio", "imu"):
        held: list[Any] = []

        def shuffle(message: Any, number: int, held: list[Any] = held) -> Any:
            copied = copy.deepcopy(message)
            if number % 4 == 0:
                held.append(copied)
                return None
            out = [copied, copied, *held]
            held.clear()
            return out

        # Sound is put in order by its sequence: what comes late is a gap, and then a repetition.
        key = "lost frames" if sense == "audio" else "out of order"
        yield _altered(graph, "every message twice, every 4th late", sense, shuffle, key=key)


def overload(graph: FaultGraph) -> Iterator[Outcome]:
    """Ten times the frames, as fast as this machine can send them."""
    senses = graph.senses
    usual, before = dict(senses.rates), graph.counters("dropped", RATES)
    senses.rates = {s: rate * (1 if s == "audio" else 10) for s, rate in usual.items()}
    begin = time.monotonic()
    time.sleep(graph.fault_seconds)
    dropped = graph.counters("dropped", RATES)
    end = time.monotonic()
    ages = {s: [age for when, age in senses.ages[s] if begin + 1 < when < end] for s in RATES}
    senses.rates = usual
    times = graph.recoveries(RATES, time.monotonic())
    for sense in RATES:
        p95 = 1e3 * float(np.percentile(ages[sense], 95)) if ages[sense] else float("nan")
        happened = f"{len(ages[sense]) / (end - begin - 1):.1f} embeddings a second, p95 age {p95:.0f} ms; "
        happened += f"{dropped[sense] - before[sense]} dropped"
        lost = dropped[sense] - before[sense] if sense == "audio" else None
        yield Outcome("10x the frames", sense, happened, times[sense], lost)


def _altered(
    graph: FaultGraph, fault: str, sense: str, alter: Callable[[Any, int], Any], key: str = "errors"
) -> Outcome:
    """Alter one sense's messages until the diagnostics have seen it, then send good ones again."""
    senses = graph.senses
    before = graph.counters(key, [sense])[sense]
    senses.alter[sense] = alter
    time.sleep(graph.fault_seconds)
    _, message, values = graph.report(f"encoder: {sense}")
    counted = int(float(values.get(key, 0) or 0)) - before
    back = time.monotonic()
    del senses.alter[sense]
    recovery = graph.recoveries([sense], back)[sense]
    return Outcome(fault, sense, f"{message} ({key}: {counted})", recovery)


def _with(**fields: Any) -> Callable[[Any, int], Any]:
    def alter(message: Any, number: int) -> Any:
        import array

        changed = copy.copy(message)
        changed = type(message)(
            **{name: getattr(message, name) for name in message.get_fields_and_field_types()}
        )
        for name, value in fields.items():
            code = "f" if name == "data" and hasattr(message, "channels") else "B"
            setattr(changed, name, array.array(code, value) if name == "data" else value)
        return changed

    return alter


def _lost(graph: FaultGraph, before: dict[str, int]) -> dict[str, int]:
    """Sent since `senses.sent` was set to 0, and not received; best-effort pictures may really lose some."""
    graph.senses.silent = set(RATES)
    time.sleep(0.3)
    sent, received = dict(graph.senses.sent), graph.counters("received", RATES)
    graph.senses.silent = set()
    return {sense: max(0, sent[sense] - (received[sense] - before[sense])) for sense in RATES}
