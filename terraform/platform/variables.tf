variable "namespace" {
  description = "Namespace of the flows and the service; churnflow-NAME for an overlay NAME other than prod."
  type        = string
  default     = "churnflow"

  validation {
    condition     = can(regex("^churnflow(-[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?)?$", var.namespace))
    error_message = "The namespace is churnflow, or churnflow-NAME in lower case, as argo/overlays has it."
  }
}

variable "flows_image" {
  description = "Image of the flows' pods and of the MLflow server, with its tag or digest (docs/deployment.md, Images)."
  type        = string

  validation {
    condition     = can(regex("(:[^:/]+|@sha256:[0-9a-f]{64})$", var.flows_image)) && !endswith(var.flows_image, ":latest")
    error_message = "The image needs a tag that is not latest, or a digest."
  }
}

variable "bucket" {
  description = "S3 bucket that everything is kept in."
  type        = string
  default     = "churnflow"

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket has 3 to 63 lower-case letters, digits, dots and hyphens."
  }
}

variable "store" {
  description = "An S3 store that is there already, instead of MinIO in the cluster; endpoint null for AWS. Pods get their rights from the accounts' annotations (see accounts), or from store_keys."
  type = object({
    endpoint = optional(string)
    region   = string
  })
  default = null
}

variable "store_keys" {
  description = "Keys of the users flows, serving, mlflow and metaflow-ui in a store that is there already and gives rights to keys, not to accounts: any but AWS. config/minio/users.sh says what each must be allowed."
  type        = map(object({ AWS_ACCESS_KEY_ID = string, AWS_SECRET_ACCESS_KEY = string }))
  sensitive   = true
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.store_keys) : contains(["flows", "serving", "mlflow", "metaflow-ui"], name)])
    error_message = "The store's users are flows, serving, mlflow and metaflow-ui."
  }
}

variable "database" {
  description = "A PostgreSQL that is there already, instead of one in the cluster, with a database for MLflow and one for Metaflow, or one for both. credentials names a secret in namespace NAMESPACE-servers with the keys username and password."
  type = object({
    host        = string
    port        = optional(number, 5432)
    mlflow      = optional(string, "mlflow")
    metaflow    = optional(string, "metaflow")
    credentials = string
    ssl_mode    = optional(string, "prefer")
  })
  default = null

  validation {
    condition     = contains(["disable", "allow", "prefer", "require"], try(var.database.ssl_mode, "prefer"))
    error_message = "ssl_mode is disable, allow, prefer or require, as PostgreSQL's clients have it."
  }
}

variable "accounts" {
  description = "Annotations of service accounts by name (churnflow-flows, churnflow-deploy, churn-service, mlflow, metaflow-ui), such as eks.amazonaws.com/role-arn."
  type        = map(map(string))
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.accounts) : contains(["churnflow-flows", "churnflow-deploy", "churn-service", "mlflow", "metaflow-ui"], name)])
    error_message = "Accounts are churnflow-flows, churnflow-deploy, churn-service, mlflow and metaflow-ui."
  }
}

variable "charts" {
  description = "Whether Argo Workflows, Argo Events, Prometheus and Grafana are installed from their charts; false where the cluster has them."
  type        = bool
  default     = true
}

variable "keep_days" {
  description = "Days that a replaced or deleted object of the bucket can still be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_days >= 1 && floor(var.keep_days) == var.keep_days
    error_message = "keep_days is a whole number of days, 1 or more."
  }
}

variable "disk" {
  description = "Size of the volumes of MinIO and PostgreSQL."
  type        = string
  default     = "50Gi"

  validation {
    condition     = can(regex("^[0-9]+(Gi|Ti)$", var.disk))
    error_message = "A size such as 50Gi."
  }
}

variable "callers" {
  description = "Namespaces whose pods may call the service, besides Prometheus'."
  type        = set(string)
  default     = []
}
