#!/bin/sh
# The bucket of compose.yaml, and the users of the store: each may do what it needs, and none is root.
set -eu
bucket="arn:aws:s3:::$CHURNFLOW_BUCKET"

# The statements of a policy: may ACTIONS on the objects below PREFIX/.
objects() { printf '{"Effect":"Allow","Action":[%s],"Resource":["%s/%s/*"]}' "$1" "$bucket" "$2"; }
# May list the keys below the PREFIXES.
listing() { printf '{"Effect":"Allow","Action":["s3:ListBucket"],"Resource":["%s"],"Condition":{"StringLike":{"s3:prefix":[%s]}}}' "$bucket" "$1"; }
# A user of one policy: NAME KEY SECRET STATEMENTS. Run again it changes nothing, but for a secret that is another one.
user() {
  printf '{"Version":"2012-10-17","Statement":[%s]}' "$4" > "/tmp/$1.json"
  mc admin policy create store "$1" "/tmp/$1.json"
  mc admin user add store "$2" "$3"
  mc admin policy attach store "$1" --user "$2" || mc admin policy entities store --user "$2" | grep -q "$1"
}

read='"s3:GetObject"'
write='"s3:GetObject","s3:PutObject","s3:DeleteObject","s3:AbortMultipartUpload","s3:ListMultipartUploadParts"'

mc mb --ignore-existing "store/$CHURNFLOW_BUCKET"
# What is replaced or deleted can be brought back for a while, and uploads that were broken off go.
mc version enable "store/$CHURNFLOW_BUCKET"
printf '{"Rules":[{"ID":"replaced-and-deleted","Status":"Enabled","Filter":{"Prefix":""},"NoncurrentVersionExpiration":{"NoncurrentDays":%s},"AbortIncompleteMultipartUpload":{"DaysAfterInitiation":1}}]}' "${KEEP_DAYS:-30}" |
  mc ilm import "store/$CHURNFLOW_BUCKET"
# The flows list the whole bucket before a run, to say what is wrong with keys or endpoint; MLflow's artifacts are not theirs.
all="{\"Effect\":\"Allow\",\"Action\":[\"s3:ListBucket\",\"s3:GetBucketLocation\"],\"Resource\":[\"$bucket\"]}"
for prefix in metaflow dvc log scores bentos; do all="$all,$(objects "$write" "$prefix")"; done
user flows "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$all"
user mlflow "$ARTIFACTS_KEY" "$ARTIFACTS_SECRET" "$(listing '"mlflow","mlflow/*"'),$(objects "$write" mlflow)"
user metaflow-ui "$UI_S3_KEY" "$UI_S3_SECRET" "$(listing '"metaflow","metaflow/*"'),$(objects "$read" metaflow)"
if [ -n "${SERVING_KEY:-}" ]; then # on a cluster; on one machine the service has the flows' keys
  user serving "$SERVING_KEY" "$SERVING_SECRET" "$(listing '"bentos","bentos/*","log","log/*"'),$(objects "$read" bentos),$(objects "$write" log)"
fi
