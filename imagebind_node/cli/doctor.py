"""Look over this machine and the running graph; each finding with its mend.

Software and extras, model files, clock, devices, ROS 2 and DDS; of the graph the two ends of every topic, and what
the nodes say of themselves on /diagnostics.

Exit status 1 if something that the embedded default model needs does not work, else 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict

from imagebind_node.cli.checks import Finding, State
from imagebind_node.cli.options import add_output_arguments, positive_float
from imagebind_node.cli.output import print_json

_MARKS = {State.OK: "ok", State.MISSING: "--", State.BROKEN: "!!"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--graph-seconds",
        type=positive_float,
        default=2.0,
        metavar="S",
        help="how long to listen for other nodes (default: 2)",
    )
    parser.add_argument("--model", default="concept", help="model whose files are checked (default: concept)")
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    findings = []
    area = ""
    for finding in _findings(args):
        findings.append(finding)
        if args.json:
            continue
        if finding.area != area:
            area = finding.area
            print(f"\n{area}" if len(findings) > 1 else area)
        print(f"  {_MARKS[finding.state]}  {finding.what}")
        if finding.mend and finding.state is not State.OK:
            print(f"      mend: {finding.mend}")
    failed = [f for f in findings if f.needed and f.state is State.BROKEN]
    if args.json:
        print_json(
            "doctor", works=not failed, findings=[{**asdict(f), "state": f.state.value} for f in findings]
        )
    else:
        counts = {state: sum(f.state is state for f in findings) for state in State}
        print(
            f"\n{counts[State.OK]} ok, {counts[State.MISSING]} optional missing, {counts[State.BROKEN]} broken"
        )
        print(
            "the embedded default works" if not failed else "the embedded default does not work: see !! above"
        )
    return 1 if failed else 0


def _findings(args: argparse.Namespace) -> Iterator[Finding]:
    from imagebind_node.cli.checks.clock import JumpWatch, check_synchronised
    from imagebind_node.cli.checks.devices import check_devices
    from imagebind_node.cli.checks.extras import check_extras
    from imagebind_node.cli.checks.model_files import check_model_files
    from imagebind_node.cli.checks.ros import check_ros
    from imagebind_node.cli.checks.software import check_machine, check_software

    clock = JumpWatch()
    yield from check_software()
    yield from check_extras()
    yield from check_machine()
    yield from check_model_files(args.model)
    yield from check_devices()
    yield from check_ros(args.graph_seconds)
    yield from check_synchronised()
    yield clock.finding()
