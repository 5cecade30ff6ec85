"""R24: the API is fuzzed from its own OpenAPI document, and what it answers is compared with what the document promises."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")
CHECKS = ",".join(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_schema_conformance",
        "unsupported_method",
        "ignored_auth",
    ]
)


@pytest.mark.parametrize("mode", ["plain", "transport"])
def test_no_body_makes_the_server_fail(start_server, mode):
    server = start_server("--dev")
    done = subprocess.run(
        [
            *(str(SCHEMATHESIS), "run", f"{server.url}/api/openapi.json", "--checks", CHECKS, "--continue-on-failure"),
            *("--header", f"X-API-Key: {server.api_key}", "--header", f"X-Centrifugo-Error-Mode: {mode}"),
            *("--phases", "examples,coverage,fuzzing", "--max-examples", "30", "--seed", "24", "--no-color"),
            # It asks every client to go, and would keep the fuzzing waiting; it has tests of its own.
            *("--exclude-path", "/api/shed"),
        ],
        cwd=server.directory,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert (found := re.search(r"(\d+) generated, (\d+) passed", done.stdout)), done.stdout[-2000:]
    assert found[1] == found[2] and int(found[1]) > 1000
    assert server.process.poll() is None
