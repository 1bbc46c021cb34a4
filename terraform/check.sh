#!/usr/bin/env bash
# make infra-check: formats, schemas, tests and rules of terraform/, with providers that need no account and no cluster.
set -euo pipefail
cd "$(dirname "$0")"
# A mirror of providers that only know their schemas, as a registry would lay it out.
stand_ins() {
  command -v go > /dev/null || { echo "make infra-check needs the providers' registry, or Go to build stand-ins with" >&2; exit 1; }
  mkdir -p "$state/mirror"
  go build -C stand_in -o "$state/stand-in" .
  for file in stand_in/schemas/*.json; do
    name=$(basename "$file" .json)
    version=$(sed -n 's/.*"version":"\([^"]*\)".*/\1/p' "$file")
    place=$state/mirror/registry.opentofu.org/hashicorp/$name/$version/$(go env GOOS)_$(go env GOARCH)
    mkdir -p "$place"
    ln -f "$state/stand-in" "$place/terraform-provider-$name"
  done
  printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$state/mirror" > "$state/tofurc"
  export TF_CLI_CONFIG_FILE=$state/tofurc STAND_IN_SCHEMAS=$PWD/stand_in/schemas
}

state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
tofu=$(../.ci/tool tofu)
tflint=$(../.ci/tool tflint)

"$tofu" fmt -check -recursive
if [ -z "${STAND_IN:-}" ] && TF_DATA_DIR=$state/probe timeout 120 "$tofu" -chdir=platform init -backend=false -input=false > "$state/init" 2>&1; then
  echo "providers: the registry's"
else
  echo "providers: stand-ins with the schemas of stand_in/schemas, for the registry does not answer (STAND_IN=1: is not asked)"
  stand_ins
fi
rm -f platform/.terraform.lock.hcl
for layer in platform aws kind; do
  export TF_DATA_DIR=$state/$layer
  echo "$layer:"
  "$tofu" -chdir=$layer init -backend=false -input=false > "$state/init" || { cat "$state/init"; exit 1; }
  "$tofu" -chdir=$layer validate
  if [ -d $layer/tests ]; then "$tofu" -chdir=$layer test; fi
  rm -f $layer/.terraform.lock.hcl
done
unset TF_DATA_DIR
"$tflint" --recursive --config="$PWD/.tflint.hcl"
echo "tflint: no findings"
