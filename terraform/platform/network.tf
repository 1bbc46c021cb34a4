# The servers answer the flows, each other, and nobody else. What the flows and the service may reach is in argo/base/network.yaml.

locals {
  # Who may reach which server: namespaces, and servers beside it.
  reached_by = {
    mlflow           = { namespaces = [var.namespace], servers = [] }
    metaflow-service = { namespaces = [var.namespace], servers = ["metaflow-ui"] }
    metaflow-ui      = { namespaces = [], servers = [] }
    pushgateway      = { namespaces = [var.namespace, "monitoring"], servers = [] }
    minio            = { namespaces = [var.namespace], servers = ["mlflow", "metaflow-ui", "bucket"] }
    postgres         = { namespaces = [], servers = ["mlflow", "metaflow-service", "metaflow-ui"] }
  }
}

resource "kubernetes_network_policy_v1" "default_deny" {
  metadata {
    name      = "default-deny"
    namespace = kubernetes_namespace_v1.servers.metadata[0].name
  }
  spec {
    pod_selector {}
    policy_types = ["Ingress"]
  }
}

resource "kubernetes_network_policy_v1" "servers" {
  for_each = local.server

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.servers.metadata[0].name
  }
  spec {
    pod_selector { match_labels = { app = each.key } }
    policy_types = ["Ingress"]
    dynamic "ingress" {
      for_each = length(flatten(values(local.reached_by[each.key]))) == 0 ? [] : [local.reached_by[each.key]]
      content {
        ports {
          port     = tostring(each.value.port)
          protocol = "TCP"
        }
        dynamic "from" {
          for_each = ingress.value.namespaces
          content {
            namespace_selector { match_labels = { "kubernetes.io/metadata.name" = from.value } }
          }
        }
        dynamic "from" {
          for_each = ingress.value.servers
          content {
            pod_selector { match_labels = { app = from.value } }
          }
        }
      }
    }
  }
}

# The label that argo/base/network.yaml asks of namespaces that call the service.
resource "kubernetes_labels" "callers" {
  for_each = setunion(var.callers, var.charts ? ["monitoring"] : [])

  api_version = "v1"
  kind        = "Namespace"
  metadata { name = each.value }
  labels     = { "churnflow/callers" = "yes" }
  depends_on = [helm_release.chart]
}
