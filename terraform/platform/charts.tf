# What has a kept chart: Argo, Prometheus, Grafana. The versions of Prometheus and Grafana are compose.yaml's.

locals {
  charts = {
    argo-workflows = {
      repository = "https://argoproj.github.io/argo-helm", version = "1.0.14", namespace = "argo" # Argo Workflows 4.0.5
      values = {
        controller = { workflowDefaults = yamldecode(yamldecode(file("${local.root}/argo/workflow-defaults.yaml")).data.workflowDefaults) }
        server     = { enabled = true, authModes = ["client"] }
      }
    }
    argo-events = {
      repository = "https://argoproj.github.io/argo-helm", version = "2.4.16", namespace = "argo-events" # Argo Events 1.9.7
      values     = {}
    }
    kube-prometheus-stack = {
      repository = "https://prometheus-community.github.io/helm-charts", version = "88.5.3", namespace = "monitoring"
      values = {
        additionalPrometheusRulesMap = { churnflow = yamldecode(file("${local.root}/config/prometheus/rules.yml")) }
        alertmanager                 = { enabled = true }
        grafana = {
          admin   = { existingSecret = "grafana", userKey = "username", passwordKey = "password" } # pragma: allowlist secret
          image   = { tag = split(":", local.compose.grafana.image)[1] }
          sidecar = { dashboards = { enabled = true, label = "grafana_dashboard" } }
          "grafana.ini" = {
            analytics = { reporting_enabled = false, check_for_updates = false, check_for_plugin_updates = false }
            news      = { news_feed_enabled = false }
          }
        }
        prometheus = {
          prometheusSpec = {
            image                                   = { tag = split(":", local.compose.prometheus.image)[1] }
            retention                               = "90d"
            serviceMonitorSelectorNilUsesHelmValues = false
            ruleSelectorNilUsesHelmValues           = false
          }
          additionalServiceMonitors = [{
            name              = "churnflow-pushgateway"
            selector          = { matchLabels = { app = "pushgateway" } }
            namespaceSelector = { matchNames = [local.servers] }
            endpoints         = [{ port = "server", honorLabels = true }]
          }]
        }
      }
    }
  }
}

resource "kubernetes_namespace_v1" "chart" {
  for_each = var.charts ? toset([for one in local.charts : one.namespace]) : toset([])

  metadata { name = each.value }
  lifecycle {
    ignore_changes = [metadata[0].labels["churnflow/callers"]]
  }
}

resource "kubernetes_secret_v1" "grafana" {
  count = var.charts ? 1 : 0

  metadata {
    name      = "grafana"
    namespace = kubernetes_namespace_v1.chart["monitoring"].metadata[0].name
  }
  data = { username = "churnflow", password = local.key.grafana }
}

resource "kubernetes_config_map_v1" "dashboard" {
  for_each = var.charts ? fileset("${local.root}/config/grafana/dashboards", "*.json") : []

  metadata {
    name      = "churnflow-${trimsuffix(each.value, ".json")}"
    namespace = kubernetes_namespace_v1.chart["monitoring"].metadata[0].name
    labels    = { grafana_dashboard = "1" }
  }
  data = { (each.value) = file("${local.root}/config/grafana/dashboards/${each.value}") }
}

resource "helm_release" "chart" {
  for_each = { for name, one in local.charts : name => one if var.charts }

  name       = each.key
  chart      = each.key
  repository = each.value.repository
  version    = each.value.version
  namespace  = kubernetes_namespace_v1.chart[each.value.namespace].metadata[0].name
  values     = [yamlencode(each.value.values)]
  timeout    = 900
  depends_on = [kubernetes_secret_v1.grafana]
}
