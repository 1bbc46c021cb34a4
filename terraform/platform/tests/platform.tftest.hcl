mock_provider "helm" {}
mock_provider "kubernetes" {}
mock_provider "random" {
  mock_resource "random_password" {
    defaults = { result = "never-in-an-output-0123456789abcdef0123" } # pragma: allowlist secret
  }
}

variables {
  flows_image = "registry.example/churnflow/flows:0.1.0"
}

run "everything_in_the_cluster" {
  assert {
    condition     = toset(keys(kubernetes_stateful_set_v1.server)) == toset(["mlflow", "metaflow-service", "metaflow-ui", "pushgateway", "postgres", "minio"])
    error_message = "A server is missing."
  }
  assert {
    condition     = toset(keys(helm_release.chart)) == toset(["argo-workflows", "argo-events", "kube-prometheus-stack"])
    error_message = "A chart is missing."
  }
  assert {
    condition = output.env == {
      AWS_ENDPOINT_URL_S3       = "http://minio.churnflow-servers:9000"
      CHURNFLOW_BUCKET          = "churnflow"
      CHURNFLOW_IMAGE           = "registry.example/churnflow/flows:0.1.0"
      CHURNFLOW_NAMESPACE       = "churnflow"
      CHURNFLOW_PROFILE         = "cluster"
      CHURNFLOW_PUSHGATEWAY     = "http://pushgateway.churnflow-servers:9091"
      METAFLOW_DEFAULT_METADATA = "service"
      METAFLOW_SERVICE_URL      = "http://metaflow-service.churnflow-servers:8080"
      MLFLOW_TRACKING_URI       = "http://mlflow.churnflow-servers:5000"
    }
    error_message = "The outputs are not the .env."
  }
  assert {
    condition     = !strcontains(jsonencode(output.env), "never-in-an-output")
    error_message = "A password is in an output."
  }
  assert {
    condition     = length(distinct([for name in ["churnflow-flows", "churnflow-serving"] : kubernetes_secret_v1.churnflow[name].data.AWS_ACCESS_KEY_ID])) == 2
    error_message = "Flows and service share a user of the store."
  }
  assert {
    condition     = kubernetes_role_v1.flows["churnflow-deploy"].rule[1].resource_names == tolist(["churn-service"])
    error_message = "DeployFlow may patch more than the one Deployment."
  }
  assert {
    condition     = kubernetes_stateful_set_v1.server["postgres"].spec[0].template[0].spec[0].container[0].image == yamldecode(file("../../compose.yaml")).services.postgres.image
    error_message = "PostgreSQL is not compose.yaml's."
  }
}

run "servers_that_are_there_already" {
  variables {
    charts   = false
    store    = { region = "eu-central-1" }
    database = { host = "db.example", credentials = "database" }
  }
  assert {
    condition     = length(kubernetes_job_v1.bucket) == 0 && length(helm_release.chart) == 0 && !contains(keys(kubernetes_stateful_set_v1.server), "minio")
    error_message = "What is there already is made again."
  }
  assert {
    condition     = !contains(keys(kubernetes_secret_v1.churnflow["churnflow-flows"].data), "AWS_ACCESS_KEY_ID") && !contains(keys(output.env), "AWS_ENDPOINT_URL_S3")
    error_message = "AWS gives rights to accounts, not keys."
  }
}

run "an_image_without_a_tag" {
  command = plan
  variables { flows_image = "registry.example/churnflow/flows" }
  expect_failures = [var.flows_image]
}

run "a_foreign_namespace" {
  command = plan
  variables { namespace = "default" }
  expect_failures = [var.namespace]
}

run "a_caller_of_no_name" {
  command = plan
  variables { accounts = { somebody = {} } }
  expect_failures = [var.accounts]
}
