"""Sum up what the Autobahn test suite found, as Markdown.

    .venv/bin/python scripts/autobahn_report.py build/autobahn/*/index.json

Ends with 1 when a case failed, in what it saw or in how the connection was closed.
"""

import datetime
import importlib.metadata
import json
import platform
import sys
from collections import Counter
from pathlib import Path
from typing import Any, Final

AGENT: Final = "heliograph"
PASSED: Final = {"OK", "NON-STRICT", "INFORMATIONAL"}
GROUPS: Final = {
    "1": "framing",
    "2": "pings and pongs",
    "3": "reserved bits",
    "4": "opcodes",
    "5": "fragmentation",
    "6": "UTF-8",
    "7": "closing",
    "9": "large messages, and many",
    "10": "fragments of the sender's choice",
    "12": "compression, by size of message",
    "13": "compression, by what was negotiated",
}

NON_STRICT: Final = """In 3.*, 4.* and 5.* a good message and a fault come in one segment: the
connection is failed at once, and what the message would have been answered with at the end of the turn is not sent any
more. In 6.4.* text is checked frame by frame, so a fault is told when the frame that holds it is whole."""

Case = dict[str, Any]


def read(paths: list[str]) -> dict[str, Case]:
    """Read the suite's indexes; gives results by the number of the case, in its order."""
    cases: dict[str, Case] = {}
    for path in paths:
        cases.update(json.loads(Path(path).read_text())[AGENT])
    return dict(sorted(cases.items(), key=lambda entry: [int(part) for part in entry[0].split(".")]))


def is_failed(case: Case) -> bool:
    """Whether a case failed; how a connection ended is judged by the suite separately."""
    return case["behavior"] not in PASSED or case["behaviorClose"] not in PASSED


def table(cases: dict[str, Case]) -> list[str]:
    """Count the behaviours of each group of cases."""
    counts: dict[str, Counter[str]] = {}
    for number, case in cases.items():
        counts.setdefault(number.split(".")[0], Counter())["FAILED" if is_failed(case) else case["behavior"]] += 1
    rows = [(f"{group}.* {GROUPS.get(group, '')}".strip(), found) for group, found in counts.items()]
    rows.append(("**all**", sum(counts.values(), Counter())))
    lines = ["| cases | number | OK | non-strict | informational | failed |", "|---|---|---|---|---|---|"]
    for name, found in rows:
        shown = " | ".join(str(found[behaviour]) for behaviour in ("OK", "NON-STRICT", "INFORMATIONAL", "FAILED"))
        lines.append(f"| {name} | {found.total()} | {shown} |")
    return lines


def listed(cases: dict[str, Case], behaviour: str) -> str:
    """List the cases that behaved so."""
    return ", ".join(number for number, case in cases.items() if case["behavior"] == behaviour) or "none"


def main(paths: list[str]) -> int:
    cases = read(paths)
    failed = {number: case for number, case in cases.items() if is_failed(case)}
    version = importlib.metadata.version
    print("# Autobahn\n")
    print(
        "The fuzzing client of the Autobahn test suite (0.8.2) against the WebSocket transport of the gateway, under a\n"
        "session that echoes (`scripts/autobahn_echo.py`), with permessage-deflate on. Run by `scripts/autobahn`, summed up\n"
        "by `scripts/autobahn_report.py`; several runs may have gone into it.\n"
    )
    print(
        f"heliograph {version('heliograph')}, websockets {version('websockets')}, CPython {platform.python_version()}, "
        f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}.\n"
    )
    print("\n".join(table(cases)))
    print(f"\nFailed: {', '.join(failed) or 'none'}.")
    for number, case in failed.items():
        print(f"- {number}: {case['behavior']}, closing {case['behaviorClose']} ({case['remoteCloseCode']})")
    print(f"\nNon-strict, which the suite allows: {listed(cases, 'NON-STRICT')}.\n{NON_STRICT}")
    print(f"\nInformational, which the suite does not judge: {listed(cases, 'INFORMATIONAL')}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
