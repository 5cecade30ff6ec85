"""`python -m loadtest.simulators --data DIR`: runs all simulators for a parent process that holds its standard input.

Prints one line of JSON: `{"control": URL, "providers": {…}}` once every port answers, or `{"error": TEXT}`. Ends when its
input does.
"""

import json
import sys
from pathlib import Path

import click
import uvloop

from loadtest.simulators.command import port_options
from loadtest.simulators.credentials import CredentialsUnreadable
from loadtest.simulators.process import run_simulators
from loadtest.simulators.suite import Ports, Simulators


def _announce(simulators: Simulators) -> None:
    print(json.dumps({"control": simulators.control, "providers": simulators.providers}), flush=True)


@click.command(help=__doc__)
@click.option("--data", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder for keys.")
@port_options
def main(data: Path, ports: Ports) -> None:
    try:
        uvloop.run(run_simulators(data, ports, announce=_announce, ends_with_input=True))
    except (CredentialsUnreadable, OSError) as exc:
        print(json.dumps({"error": f"simulators: {exc}"}), flush=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
