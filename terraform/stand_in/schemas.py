"""``make infra-schemas``: the schemas of the providers' resources that terraform/ uses, from cdktf's packages on npm.

cdktf generates its classes from the providers' schemas, so their properties name every argument, its type and whether it
is required. What a class does not tell - lists from sets, the most blocks of a kind - is taken as a list of any length.
"""

import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGES = {"aws": "21.22.1", "helm": "12.1.2", "kubernetes": "12.1.1", "random": "12.0.1"}
Types = dict[str, dict[str, Any]]


def types(provider: str, folder: Path) -> tuple[Types, str]:
    """The types of a provider's package by name, and the provider's version."""
    command = [
        "npm",
        "pack",
        "--silent",
        "--pack-destination",
        str(folder),
        f"@cdktf/provider-{provider}@{PACKAGES[provider]}",
    ]
    name = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    with tarfile.open(folder / name) as archive:
        content = archive.extractfile("package/.jsii")
        assert content is not None
        text = content.read().decode()
    version = re.search(rf"providers/hashicorp/{provider}/([\d.]+)", text)
    assert version is not None
    return {key.split(".", 1)[1]: one for key, one in json.loads(text)["types"].items()}, version[1]


def snake(name: str) -> str:
    """An argument's name as Terraform writes it."""
    return re.sub(r"(?<=[a-z0-9])([A-Z])", lambda found: f"_{found[1].lower()}", name)


def name_of(member: dict[str, Any]) -> str:
    """The anchor of the provider's documentation, which is the argument's name."""
    said = " ".join(member.get("docs", {}).values())
    anchor = re.search(r"#(\w+) \w+#(\w+)\}", said)
    return anchor[1] if anchor else snake(member["name"])


def without_tokens(kind: dict[str, Any]) -> dict[str, Any]:
    """A type without cdktf's own alternatives."""
    if "union" not in kind:
        return kind
    (one,) = [one for one in kind["union"]["types"] if one.get("fqn") != "cdktf.IResolvable"] or [{"primitive": "any"}]
    return one


def cty(kind: dict[str, Any], known: Types) -> Any:
    """A type as Terraform's JSON writes it."""
    kind = without_tokens(kind)
    if "collection" in kind:
        inner = cty(kind["collection"]["elementtype"], known)
        return ["map" if kind["collection"]["kind"] == "map" else "list", inner]
    if "primitive" in kind:
        return {"boolean": "bool", "any": "dynamic"}.get(kind["primitive"], kind["primitive"])
    own = known.get(kind["fqn"].split(".", 1)[1])
    if own is None:
        return {"cdktf.StringMap": ["map", "string"], "cdktf.BooleanMap": ["map", "bool"]}.get(kind["fqn"], "dynamic")
    members = {name_of(one): cty(one["type"], known) for one in own.get("properties", []) if own["kind"] == "interface"}
    return ["object", members] if members else "dynamic"


def block(config: str, known: Types, own: tuple[str, ...] = ()) -> dict[str, Any]:
    """The arguments and blocks of a type."""
    attributes: dict[str, Any] = {}
    blocks: dict[str, Any] = {}
    for member in known[config].get("properties", []):
        name, kind = name_of(member), without_tokens(member["type"])
        inner = kind["collection"]["elementtype"] if "collection" in kind else kind
        said = member.get("docs", {}).get("summary", "")
        if said == f"{name} block." and "fqn" in inner:
            blocks[name] = {
                "required": not member.get("optional"),
                "block": block(inner["fqn"].split(".", 1)[1], known),
            }
        elif "fqn" in inner and known.get(inner["fqn"].split(".", 1)[1], {}).get("kind") == "interface":
            nested = block(inner["fqn"].split(".", 1)[1], known)["attributes"]
            attributes[name] = {"nested": nested, "many": "collection" in kind, "required": not member.get("optional")}
        else:
            attributes[name] = {"type": cty(kind, known), "required": not member.get("optional")}
    for computed in (member for name in own for member in known[name].get("properties", [])):
        name = snake(computed["name"])
        if not re.search(r"_input$|^(tf_resource_type|internal_value|fqn)$", name) and name not in blocks | attributes:
            attributes[name] = {"type": cty(computed["type"], known), "computed": True}
    outputs = f"{config}OutputReference"
    if not own and outputs in known:
        return merge(block(config, known, (outputs,)), {"attributes": attributes, "blocks": blocks})
    return {"attributes": attributes, "blocks": blocks}


def merge(computed: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """A block's own attributes, with what the provider only answers."""
    return {"attributes": computed["attributes"] | given["attributes"], "blocks": given["blocks"]}


def used(kind: str) -> set[str]:
    """The resources or data sources that terraform/ names."""
    found = (re.findall(rf'^{kind} "(\w+)"', path.read_text(), re.MULTILINE) for path in HERE.parent.rglob("*.tf"))
    return {name for names in found for name in names}


def schema(provider: str, known: Types) -> dict[str, Any]:
    """The provider's own arguments, and those of the resources and data sources that are used."""
    made: dict[str, Any] = {"provider": block(f"provider.{provider.capitalize()}ProviderConfig", known)}
    for kind, prefix in (("resource", ""), ("data", "Data")):
        made[kind] = {}
        for name in sorted(one for one in used(kind) if one.split("_")[0] == provider):
            words = name if prefix else name.split("_", 1)[1]
            plain = f"{prefix}{words}".replace("_", "").lower()
            wanted = {f"{plain}config", f"{plain}aconfig"}  # cdktf's A keeps names that end with Configuration apart
            found = [key for key in known if key.split(".")[-1].lower() in wanted]
            if len(found) != 1:
                sys.exit(f"{provider}: {name} is {found or 'not there'}")
            (config,) = found
            made[kind][name] = block(config, known, (config.removesuffix("Config"),))
            for argument in ("for_each", "count", "depends_on", "lifecycle", "provider", "connection", "provisioners"):
                made[kind][name]["attributes"].pop(argument, None)
    made["provider"]["attributes"].pop("alias", None)
    return made


def main() -> None:
    """Write terraform/stand_in/schemas/PROVIDER.json for each provider."""
    for provider in PACKAGES:
        with tempfile.TemporaryDirectory() as folder:
            known, version = types(provider, Path(folder))
        text = json.dumps({"version": version, **schema(provider, known)}, sort_keys=True, separators=(",", ":"))
        (HERE / "schemas").mkdir(exist_ok=True)
        (HERE / "schemas" / f"{provider}.json").write_text(text + "\n", encoding="utf-8")
        sys.stdout.write(f"{provider} {version}: {len(text):,} bytes\n")


if __name__ == "__main__":
    main()
