# The servers that have no kept chart: the programs and settings of compose.yaml, a StatefulSet of one pod each.

locals {
  database = local.own_base ? { host = "postgres", port = 5432, mlflow = "mlflow", metaflow = "metaflow", credentials = "postgres", ssl_mode = "disable" } : var.database
  metadata_variables = {
    MF_METADATA_DB_HOST     = local.database.host
    MF_METADATA_DB_PORT     = tostring(local.database.port)
    MF_METADATA_DB_NAME     = local.database.metaflow
    MF_METADATA_DB_SSL_MODE = local.database.ssl_mode # without it the service asks for a connection that is not encrypted
  }
  # What a program writes or reads elsewhere than in /tmp and on its disk: volumes by server.
  folders = {
    postgres    = { scripts = "/docker-entrypoint-initdb.d", run = "/var/run/postgresql" }
    metaflow-ui = { cache = "/root/cache_data" }
  }
  # user: the number that the program may run as; Metaflow's lie in /root, which only root enters. folder: what outlives the pod.
  # variables_of: names of variables with the database's user and password.
  server = merge(
    {
      mlflow = {
        user    = 10001, port = 5000, path = "/health", folder = null, credentials = "mlflow"
        command = ["mlflow", "server", "--host=0.0.0.0", "--port=5000", "--workers=2", "--artifacts-destination=s3://${var.bucket}/mlflow", "--allowed-hosts=mlflow.${local.servers}:*,localhost:*"]
        variables = {
          MLFLOW_DISABLE_TELEMETRY    = "true", MLFLOW_SERVER_ENABLE_JOB_EXECUTION = "false"
          MLFLOW_SERVER_ALLOWED_HOSTS = "mlflow.${local.servers}:*,localhost:*"
          # What the address leaves out is libpq's: a password with a / in it would be no part of an address.
          MLFLOW_BACKEND_STORE_URI = "postgresql+psycopg:///${local.database.mlflow}"
          PGHOST                   = local.database.host, PGPORT = tostring(local.database.port), PGSSLMODE = local.database.ssl_mode
        }
        variables_of = { user = "PGUSER", password = "PGPASSWORD" } # pragma: allowlist secret
        prepare      = null
      }
      metaflow-service = {
        user         = 0, port = 8080, path = "/ping", folder = null, credentials = null
        command      = local.compose["metaflow-service"].command
        variables    = local.metadata_variables
        variables_of = { user = "MF_METADATA_DB_USER", password = "MF_METADATA_DB_PSWD" } # pragma: allowlist secret
        prepare      = local.compose["metaflow-migrations"].command
      }
      metaflow-ui = {
        user    = 0, port = 8083, path = "/", folder = null, credentials = "metaflow-ui"
        command = local.compose["metaflow-ui"].command
        variables = merge(local.metadata_variables, {
          UI_ENABLED               = "1", METAFLOW_DEFAULT_DATASTORE = "s3", METAFLOW_DEFAULT_METADATA = "service"
          MF_DATASTORE_ROOT        = "s3://${var.bucket}/metaflow", METAFLOW_DATASTORE_SYSROOT_S3 = "s3://${var.bucket}/metaflow"
          METAFLOW_SERVICE_URL     = local.environment.METAFLOW_SERVICE_URL
          METAFLOW_S3_ENDPOINT_URL = local.endpoint == null ? "" : local.endpoint
          MF_UI_METADATA_PORT      = "8083"
          # Bytes, together less than the volume; by itself it would fill nearly all of the node's disk.
          CACHE_ARTIFACT_STORAGE_LIMIT = "800000000", CACHE_DAG_STORAGE_LIMIT = "400000000", CACHE_LOG_STORAGE_LIMIT = "400000000"
          AWS_EC2_METADATA_DISABLED    = "true"
        })
        variables_of = { user = "MF_METADATA_DB_USER", password = "MF_METADATA_DB_PSWD" } # pragma: allowlist secret
        prepare      = null
      }
      pushgateway = {
        user         = 65534, port = 9091, path = "/-/ready", folder = "/pushgateway", credentials = null
        command      = ["/bin/pushgateway", "--persistence.file=/pushgateway/metrics"]
        variables    = {}
        variables_of = {}
        prepare      = null
      }
    },
    local.own_base ? {
      postgres = {
        user         = 70, port = 5432, path = null, folder = "/var/lib/postgresql/data", credentials = null
        command      = null
        variables    = { PGDATA = "/var/lib/postgresql/data/pgdata" }
        variables_of = { user = "POSTGRES_USER", password = "POSTGRES_PASSWORD" } # pragma: allowlist secret
        prepare      = null
      }
    } : {},
    local.own_store ? {
      minio = {
        user         = 1000, port = 9000, path = "/minio/health/ready", folder = "/data", credentials = "minio"
        command      = ["minio", "server", "/data"]
        variables    = {}
        variables_of = {}
        prepare      = null
      }
    } : {},
  )
}

resource "kubernetes_config_map_v1" "scripts" {
  metadata {
    name      = "scripts"
    namespace = kubernetes_namespace_v1.servers.metadata[0].name
  }
  data = {
    "databases.sql" = file("${local.root}/config/postgres/databases.sql")
    "users.sh"      = file("${local.root}/config/minio/users.sh")
  }
}

resource "kubernetes_service_account_v1" "server" {
  for_each = local.server

  metadata {
    name        = each.key
    namespace   = kubernetes_namespace_v1.servers.metadata[0].name
    annotations = lookup(var.accounts, each.key, {})
  }
  automount_service_account_token = false
}

resource "kubernetes_stateful_set_v1" "server" {
  #checkov:skip=CKV_K8S_35:the images read their passwords from the environment
  #checkov:skip=CKV_K8S_43:digests are a registry's; compose.yaml takes them
  for_each = local.server

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.servers.metadata[0].name
    labels    = { app = each.key }
  }
  spec {
    replicas     = 1
    service_name = each.key
    selector { match_labels = { app = each.key } }
    template {
      metadata { labels = { app = each.key } }
      spec {
        service_account_name            = kubernetes_service_account_v1.server[each.key].metadata[0].name
        automount_service_account_token = false
        # A service named minio gives every pod MINIO_PORT, which the programs would read.
        enable_service_links = false
        security_context {
          run_as_non_root = each.value.user != 0
          run_as_user     = each.value.user
          run_as_group    = each.value.user
          fs_group        = each.value.user
          seccomp_profile { type = "RuntimeDefault" }
        }
        dynamic "init_container" {
          for_each = each.value.prepare == null ? [] : [each.value.prepare]
          content {
            name              = "prepare"
            image             = local.image[each.key]
            image_pull_policy = "IfNotPresent"
            command           = init_container.value
            security_context {
              allow_privilege_escalation = false
              read_only_root_filesystem  = true
              capabilities { drop = ["ALL"] }
            }
            resources {
              requests = { cpu = "100m", memory = "256Mi" }
              limits   = { cpu = "1", memory = "512Mi" }
            }
            dynamic "env" {
              for_each = each.value.variables
              content {
                name  = env.key
                value = env.value
              }
            }
            dynamic "env" {
              for_each = each.value.variables_of
              content {
                name = env.value
                value_from {
                  secret_key_ref {
                    name = local.database.credentials
                    key  = env.key == "user" ? "username" : "password"
                  }
                }
              }
            }
            volume_mount {
              name       = "tmp"
              mount_path = "/tmp"
            }
          }
        }
        container {
          name              = each.key
          image             = local.image[each.key]
          image_pull_policy = "IfNotPresent"
          command           = each.value.command
          security_context {
            allow_privilege_escalation = false
            read_only_root_filesystem  = true
            capabilities { drop = ["ALL"] }
          }
          resources {
            requests = { cpu = "100m", memory = "512Mi" }
            limits   = { cpu = "2", memory = "2Gi" }
          }
          port { container_port = each.value.port }
          readiness_probe {
            dynamic "http_get" {
              for_each = each.value.path == null ? [] : [each.value.path]
              content {
                path = http_get.value
                port = each.value.port
              }
            }
            dynamic "tcp_socket" {
              for_each = each.value.path == null ? [each.value.port] : []
              content { port = tcp_socket.value }
            }
            period_seconds  = 5
            timeout_seconds = 3
          }
          liveness_probe {
            tcp_socket { port = each.value.port }
            initial_delay_seconds = 60
            period_seconds        = 20
          }
          dynamic "env" {
            for_each = each.value.variables
            content {
              name  = env.key
              value = env.value
            }
          }
          dynamic "env" {
            for_each = each.value.variables_of
            content {
              name = env.value
              value_from {
                secret_key_ref {
                  name = local.database.credentials
                  key  = env.key == "user" ? "username" : "password"
                }
              }
            }
          }
          dynamic "env_from" {
            for_each = each.value.credentials == null ? [] : [each.value.credentials]
            content {
              secret_ref { name = kubernetes_secret_v1.servers[env_from.value].metadata[0].name }
            }
          }
          volume_mount {
            name       = "tmp"
            mount_path = "/tmp"
          }
          dynamic "volume_mount" {
            for_each = each.value.folder == null ? [] : [each.value.folder]
            content {
              name       = "data"
              mount_path = volume_mount.value
            }
          }
          dynamic "volume_mount" {
            for_each = lookup(local.folders, each.key, {})
            content {
              name       = volume_mount.key
              mount_path = volume_mount.value
            }
          }
        }
        volume {
          name = "tmp"
          empty_dir { size_limit = "1Gi" }
        }
        volume {
          name = "run"
          empty_dir { size_limit = "10Mi" }
        }
        volume {
          name = "cache"
          empty_dir { size_limit = "2Gi" }
        }
        volume {
          name = "scripts"
          config_map {
            name = kubernetes_config_map_v1.scripts.metadata[0].name
            items {
              key  = "databases.sql"
              path = "databases.sql"
            }
          }
        }
      }
    }
    dynamic "volume_claim_template" {
      for_each = each.value.folder == null ? [] : [each.key]
      content {
        metadata { name = "data" }
        spec {
          access_modes = ["ReadWriteOnce"]
          resources { requests = { storage = each.key == "pushgateway" ? "1Gi" : var.disk } }
        }
      }
    }
  }
}

resource "kubernetes_service_v1" "server" {
  for_each = local.server

  metadata {
    name      = each.key
    namespace = kubernetes_namespace_v1.servers.metadata[0].name
    labels    = { app = each.key }
  }
  spec {
    selector = { app = each.key }
    port {
      name = "server"
      port = each.value.port
    }
  }
}

# The bucket with its versions and lifetimes, and a user with the least rights for each who uses it.
resource "kubernetes_job_v1" "bucket" {
  #checkov:skip=CKV_K8S_35:mc reads its keys from the environment
  #checkov:skip=CKV_K8S_43:digests are a registry's; compose.yaml takes them
  count = local.own_store ? 1 : 0

  metadata {
    name      = "bucket-${substr(sha256(jsonencode([kubernetes_config_map_v1.scripts.data, var.bucket, var.keep_days])), 0, 8)}"
    namespace = kubernetes_namespace_v1.servers.metadata[0].name
  }
  spec {
    backoff_limit = 20
    template {
      metadata { labels = { app = "bucket" } }
      spec {
        automount_service_account_token = false
        enable_service_links            = false
        restart_policy                  = "OnFailure"
        security_context {
          run_as_non_root = true
          run_as_user     = 1000
          seccomp_profile { type = "RuntimeDefault" }
        }
        container {
          name              = "bucket"
          image             = local.image.bucket
          image_pull_policy = "IfNotPresent"
          command           = ["sh", "/scripts/users.sh"]
          security_context {
            allow_privilege_escalation = false
            read_only_root_filesystem  = true
            capabilities { drop = ["ALL"] }
          }
          resources {
            requests = { cpu = "100m", memory = "128Mi" }
            limits   = { cpu = "1", memory = "256Mi" }
          }
          env {
            name  = "MC_CONFIG_DIR"
            value = "/tmp/mc"
          }
          env_from {
            secret_ref { name = kubernetes_secret_v1.servers["bucket"].metadata[0].name }
          }
          volume_mount {
            name       = "scripts"
            mount_path = "/scripts"
          }
          volume_mount {
            name       = "tmp"
            mount_path = "/tmp"
          }
        }
        volume {
          name = "scripts"
          config_map { name = kubernetes_config_map_v1.scripts.metadata[0].name }
        }
        volume {
          name = "tmp"
          empty_dir { size_limit = "10Mi" }
        }
      }
    }
  }
  wait_for_completion = true
  timeouts { create = "10m" }
  depends_on = [kubernetes_stateful_set_v1.server, kubernetes_service_v1.server, kubernetes_network_policy_v1.servers]
}
