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
    condition     = alltrue([for name in ["AWS_ACCESS_KEY_ID", "ARTIFACTS_KEY", "UI_S3_KEY", "SERVING_KEY"] : contains(range(3, 21), length(kubernetes_secret_v1.servers["bucket"].data[name]))])
    error_message = "MinIO takes names of 3 to 20 letters."
  }
  assert {
    condition     = [for name in ["mlflow", "metaflow-ui"] : kubernetes_secret_v1.servers[name].data.AWS_ACCESS_KEY_ID] == [for name in ["ARTIFACTS_KEY", "UI_S3_KEY"] : kubernetes_secret_v1.servers["bucket"].data[name]]
    error_message = "A server has a user that the store does not have."
  }
  assert {
    condition     = toset(kubernetes_role_v1.flows["churnflow-deploy"].rule[1].resource_names) == toset(["churn-service"]) # a set, to stand-ins a list
    error_message = "DeployFlow may patch more than the one Deployment."
  }
  assert {
    condition     = kubernetes_stateful_set_v1.server["postgres"].spec[0].template[0].spec[0].container[0].image == yamldecode(file("../../compose.yaml")).services.postgres.image
    error_message = "PostgreSQL is not compose.yaml's."
  }
  assert {
    condition     = [for name, one in kubernetes_stateful_set_v1.server : name if !one.spec[0].template[0].spec[0].security_context[0].run_as_non_root] == ["metaflow-service", "metaflow-ui"]
    error_message = "Metaflow's programs lie in /root, which only root enters; nobody else is root."
  }
  assert {
    condition     = alltrue([for one in kubernetes_stateful_set_v1.server : alltrue([for box in concat(one.spec[0].template[0].spec[0].container, one.spec[0].template[0].spec[0].init_container) : box.security_context[0].read_only_root_filesystem && box.security_context[0].capabilities[0].drop == tolist(["ALL"])])])
    error_message = "A server may write to its image, or has rights of the kernel."
  }
  assert {
    condition     = contains([for one in kubernetes_stateful_set_v1.server["metaflow-ui"].spec[0].template[0].spec[0].container[0].volume_mount : "${one.name} ${one.mount_path}"], "cache /root/cache_data")
    error_message = "Metaflow's UI ends where it cannot write to cache_data in its folder."
  }
  assert {
    condition     = alltrue([for one in kubernetes_stateful_set_v1.server : alltrue([for mount in one.spec[0].template[0].spec[0].container[0].volume_mount : contains(concat(["data"], one.spec[0].template[0].spec[0].volume[*].name), mount.name)])])
    error_message = "A volume is mounted that the pod does not have."
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
  assert {
    condition     = { for one in kubernetes_stateful_set_v1.server["mlflow"].spec[0].template[0].spec[0].container[0].env : one.name => one.value if contains(["PGHOST", "PGPORT", "PGSSLMODE"], one.name) } == { PGHOST = "db.example", PGPORT = "5432", PGSSLMODE = "prefer" }
    error_message = "MLflow's database is not the one that is there."
  }
  assert {
    condition = alltrue([for box in concat(kubernetes_stateful_set_v1.server["metaflow-service"].spec[0].template[0].spec[0].container, kubernetes_stateful_set_v1.server["metaflow-service"].spec[0].template[0].spec[0].init_container) :
    contains([for one in box.env : "${one.name}=${coalesce(one.value, "-")}"], "MF_METADATA_DB_SSL_MODE=prefer")])
    error_message = "Without a mode Metaflow's service refuses to encrypt, and RDS to answer."
  }
}

run "a_store_that_gives_rights_to_keys" {
  variables {
    charts = false
    store  = { endpoint = "http://s3.example:9000", region = "us-east-1" }
    store_keys = {
      flows  = { AWS_ACCESS_KEY_ID = "key-of-flows", AWS_SECRET_ACCESS_KEY = "secret" }  # pragma: allowlist secret
      mlflow = { AWS_ACCESS_KEY_ID = "key-of-mlflow", AWS_SECRET_ACCESS_KEY = "secret" } # pragma: allowlist secret
    }
  }
  assert {
    condition     = kubernetes_secret_v1.churnflow["churnflow-flows"].data.AWS_ACCESS_KEY_ID == "key-of-flows" && kubernetes_secret_v1.servers["mlflow"].data.AWS_ACCESS_KEY_ID == "key-of-mlflow"
    error_message = "A user has not its own key."
  }
  assert {
    condition     = !contains(keys(kubernetes_secret_v1.servers["metaflow-ui"].data), "AWS_ACCESS_KEY_ID")
    error_message = "A user without keys has some."
  }
}

run "keys_of_nobody" {
  command = plan
  variables { store_keys = { root = { AWS_ACCESS_KEY_ID = "root", AWS_SECRET_ACCESS_KEY = "secret" } } } # pragma: allowlist secret
  expect_failures = [var.store_keys]
}

run "a_mode_that_needs_a_certificate" {
  command = plan
  variables { database = { host = "db.example", credentials = "database", ssl_mode = "verify-full" } }
  expect_failures = [var.database]
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
