"""``make infra-env``: write .env from Terraform's outputs, with the flows' storage keys from Kubernetes."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "CHURNFLOW_ID_KEY",
    "CHURNFLOW_API_KEYS",
)  # in the secret churnflow-flows


def parsed(*words: str) -> dict[str, object]:
    """A command's output, parsed as JSON."""
    try:
        return json.loads(subprocess.run(words, capture_output=True, text=True, check=True).stdout)
    except FileNotFoundError:
        sys.exit(f"make infra-env needs {words[0]} on the PATH")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{' '.join(words[:3])}: {error.stderr.strip()}")


def lines(outputs: dict[str, object], secret: dict[str, str]) -> str:
    """The lines of the file: Terraform's outputs, then the keys in the secret."""
    named = {**outputs, **{key: base64.b64decode(secret[key]).decode() for key in KEYS if key in secret}}
    head = "# Written by `make infra-env`; anyone who can read this file can read the data. Then: set -a; . ./.env; set +a\n"
    return head + "".join(f"{name}={value}\n" for name, value in named.items())


def main() -> None:
    """Write .env, never overwriting an existing one."""
    layer, path = sys.argv[1], Path(".env")
    if path.exists():
        sys.exit(f"{path} is there already; move it away, then: make infra-env LAYER={layer}")
    outputs = parsed("tofu", f"-chdir=terraform/{layer}", "output", "-json", "env")
    namespace = str(outputs["CHURNFLOW_NAMESPACE"])
    secret = parsed("kubectl", "-n", namespace, "get", "secret", "churnflow-flows", "-o", "jsonpath={.data}")
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(lines(outputs, {key: str(value) for key, value in secret.items()}))
    print(f"{path} is written, readable by you alone")


if __name__ == "__main__":
    main()
