# What docs/deployment.md names as not part of Churnflow. Images are those of compose.yaml, accounts those of argo/base:
# each is written down once.

locals {
  root    = "${path.module}/../.."
  compose = yamldecode(file("${local.root}/compose.yaml")).services
  image   = { for name, service in local.compose : name => name == "mlflow" ? var.flows_image : try(service.image, local.compose["metaflow-migrations"].image) }
  objects = [for text in split("\n---\n", file("${local.root}/argo/base/accounts.yaml")) : yamldecode(text)]
  of_kind = { for kind in ["ServiceAccount", "Role", "RoleBinding"] : kind => { for one in local.objects : one.metadata.name => one if one.kind == kind } }

  servers   = "${var.namespace}-servers"
  endpoint  = var.store == null ? "http://minio.${local.servers}:9000" : var.store.endpoint
  region    = var.store == null ? "us-east-1" : var.store.region
  own_store = var.store == null
  own_base  = var.database == null

  environment = merge(
    {
      CHURNFLOW_PROFILE         = "cluster"
      CHURNFLOW_NAMESPACE       = var.namespace
      CHURNFLOW_IMAGE           = var.flows_image
      CHURNFLOW_BUCKET          = var.bucket
      CHURNFLOW_PUSHGATEWAY     = "http://pushgateway.${local.servers}:9091"
      METAFLOW_DEFAULT_METADATA = "service"
      METAFLOW_SERVICE_URL      = "http://metaflow-service.${local.servers}:8080"
      MLFLOW_TRACKING_URI       = "http://mlflow.${local.servers}:5000"
    },
    local.endpoint == null ? {} : { AWS_ENDPOINT_URL_S3 = local.endpoint },
  )
}

resource "kubernetes_namespace_v1" "churnflow" {
  metadata {
    name = var.namespace
    # Those of argo/base/namespace.yaml, which make argo-deploy applies.
    labels = { "pod-security.kubernetes.io/enforce" = "baseline" }
  }
  lifecycle {
    ignore_changes = [metadata[0].labels["app.kubernetes.io/managed-by"], metadata[0].annotations]
  }
}

resource "kubernetes_namespace_v1" "servers" {
  metadata {
    name   = local.servers
    labels = { "pod-security.kubernetes.io/enforce" = "baseline" }
  }
}

# make argo-deploy applies the same accounts, roles and bindings, with a label of its own.
resource "kubernetes_service_account_v1" "flows" {
  for_each = local.of_kind.ServiceAccount

  metadata {
    name        = each.key
    namespace   = kubernetes_namespace_v1.churnflow.metadata[0].name
    annotations = lookup(var.accounts, each.key, {})
  }
  automount_service_account_token = try(each.value.automountServiceAccountToken, true)
  lifecycle {
    ignore_changes = [metadata[0].labels["app.kubernetes.io/managed-by"]]
  }
}

resource "kubernetes_role_v1" "flows" {
  for_each = local.of_kind.Role

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.churnflow.metadata[0].name
  }
  dynamic "rule" {
    for_each = each.value.rules
    content {
      api_groups     = rule.value.apiGroups
      resources      = rule.value.resources
      resource_names = try(rule.value.resourceNames, [])
      verbs          = rule.value.verbs
    }
  }
  lifecycle {
    ignore_changes = [metadata[0].labels["app.kubernetes.io/managed-by"]]
  }
}

resource "kubernetes_role_binding_v1" "flows" {
  for_each = local.of_kind.RoleBinding

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.churnflow.metadata[0].name
  }
  role_ref {
    api_group = "rbac.authorization.k8s.io"
    kind      = "Role"
    name      = each.value.roleRef.name
  }
  dynamic "subject" {
    for_each = each.value.subjects
    content {
      kind      = subject.value.kind
      name      = subject.value.name
      namespace = kubernetes_namespace_v1.churnflow.metadata[0].name
    }
  }
  lifecycle {
    ignore_changes = [metadata[0].labels["app.kubernetes.io/managed-by"]]
  }
}

# Random, kept in Terraform's state and in Kubernetes' secrets alone: encrypt the state, and let few read it.
resource "random_password" "key" {
  for_each = toset(["database", "store", "flows", "serving", "mlflow", "metaflow-ui", "grafana", "ids", "callers", "feedback"])

  length  = 40
  special = false
}

locals {
  key = { for name, one in random_password.key : name => one.result }
  # AWS gives rights to accounts, not keys; any other store has keys for each user.
  keys = { for name in ["flows", "serving", "mlflow", "metaflow-ui"] : name => local.own_store ? {
    AWS_ACCESS_KEY_ID     = name
    AWS_SECRET_ACCESS_KEY = local.key[name]
  } : try(var.store_keys[name], {}) }
  store_variables = merge({ AWS_DEFAULT_REGION = local.region }, local.endpoint == null ? {} : { AWS_ENDPOINT_URL_S3 = local.endpoint })
}

resource "kubernetes_secret_v1" "churnflow" {
  for_each = {
    churnflow-flows = merge(local.store_variables, local.keys.flows, {
      CHURNFLOW_BUCKET      = var.bucket
      CHURNFLOW_ID_KEY      = local.key.ids
      CHURNFLOW_API_KEYS    = "deploy:${local.key.callers}" # pragma: allowlist secret
      CHURNFLOW_PUSHGATEWAY = local.environment.CHURNFLOW_PUSHGATEWAY
      MLFLOW_TRACKING_URI   = local.environment.MLFLOW_TRACKING_URI
    })
    churnflow-serving = merge(local.store_variables, local.keys.serving, {
      CHURNFLOW_PREDICTIONS   = "s3://${var.bucket}/log"
      CHURNFLOW_ID_KEY        = local.key.ids
      CHURNFLOW_API_KEYS      = "deploy:${local.key.callers}" # pragma: allowlist secret
      CHURNFLOW_FEEDBACK_KEYS = "feedback:${local.key.feedback}"
    })
  }

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.churnflow.metadata[0].name
  }
  data = each.value
}

resource "kubernetes_secret_v1" "servers" {
  for_each = merge(
    {
      mlflow      = merge(local.store_variables, local.keys.mlflow)
      metaflow-ui = merge(local.store_variables, local.keys["metaflow-ui"])
    },
    local.own_base ? { postgres = { username = "churnflow", password = local.key.database } } : {}, # pragma: allowlist secret
    local.own_store ? {
      minio = { MINIO_ROOT_USER = "root", MINIO_ROOT_PASSWORD = local.key.store }
      bucket = {
        MC_HOST_store    = "http://root:${local.key.store}@minio:9000"
        CHURNFLOW_BUCKET = var.bucket
        KEEP_DAYS        = tostring(var.keep_days)
        # As compose.yaml calls them.
        AWS_ACCESS_KEY_ID = "flows", AWS_SECRET_ACCESS_KEY = local.key.flows
        ARTIFACTS_KEY     = "mlflow", ARTIFACTS_SECRET = local.key.mlflow
        UI_S3_KEY         = "metaflow-ui", UI_S3_SECRET = local.key["metaflow-ui"]
        SERVING_KEY       = "serving", SERVING_SECRET = local.key.serving
      }
    } : {},
  )

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.servers.metadata[0].name
  }
  data = each.value
}
