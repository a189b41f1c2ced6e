"""Write constraints.txt anew: one exact version for every package, direct or not, of every extra.

    python scripts/update_constraints.py python3.10 python3.11 python3.12

Each interpreter gets an empty virtual environment in a temporary folder, in which pip resolves the package with
all extras (nothing is installed). Versions that differ between interpreters are written with markers.
Run it to take newer versions in; then `make setup && make test`.
"""

from __future__ import annotations

import argparse
import ast
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Versions that were chosen and not just found: see docs/install.md.
CHOSEN = ["torch==2.13.0", "cmake==3.31.6", "setuptools<80"]
HEADER = """\
# Written by scripts/update_constraints.py: exact versions of imagebind_node's dependencies with all extras.
# The CUDA libraries of torch are not listed: torch itself names exact versions of them.
"""


def all_extras() -> str:
    """The names of EXTRAS in setup.py, read without running it."""
    for statement in ast.parse((ROOT / "setup.py").read_text()).body:
        if isinstance(statement, ast.Assign) and getattr(statement.targets[0], "id", "") == "EXTRAS":
            return ",".join(ast.literal_eval(statement.value))
    sys.exit("setup.py has no EXTRAS")


def canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def resolve(python: str) -> tuple[str, dict[str, str]]:
    """Return (version such as "3.11", {package: version}) as pip resolves it for the interpreter `python`."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        inside = f"{folder}/bin/python"
        code = "import sys; print('%d.%d' % sys.version_info[:2])"
        version = subprocess.run(
            [inside, "-c", code], check=True, capture_output=True, text=True
        ).stdout.strip()
        report = Path(folder) / "report.json"
        command = [
            inside,
            "-m",
            "pip",
            "install",
            "-q",
            "--dry-run",
            "--ignore-installed",
            "--report",
            str(report),
        ]
        done = subprocess.run([*command, f"{ROOT}[{all_extras()}]", *CHOSEN], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"pip could not resolve for {python}:\n{done.stderr}")
        installs = [i["metadata"] for i in json.loads(report.read_text())["install"]]
        found = {canonical(m["name"]): m["version"].split("+")[0] for m in installs}
        return version, found


def merge(resolved: dict[str, dict[str, str]]) -> list[str]:
    """One line a package where all interpreters agree, else one line with a marker for each."""
    lines = []
    for name in sorted(set().union(*resolved.values())):
        if name == "imagebind-node" or name.startswith(("nvidia-", "triton", "cuda-")):
            continue
        versions = {python: found.get(name) for python, found in resolved.items()}
        if len(set(versions.values())) == 1:
            lines.append(f"{name}=={next(iter(versions.values()))}")
            continue
        for python, version in versions.items():
            if version is not None:
                lines.append(f'{name}=={version} ; python_version == "{python}"')
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("python", nargs="+", help="interpreters to resolve for")
    resolved = dict(resolve(python) for python in parser.parse_args().python)
    (ROOT / "constraints.txt").write_text(HEADER + "\n".join(merge(resolved)) + "\n")


if __name__ == "__main__":
    main()
