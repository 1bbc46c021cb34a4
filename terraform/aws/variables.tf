variable "name" {
  description = "Name of everything that is made, and the namespace of the flows."
  type        = string
  default     = "churnflow"

  validation {
    condition     = can(regex("^churnflow(-[a-z0-9]+)?$", var.name))
    error_message = "The name is churnflow or churnflow-NAME, as the namespaces of argo/overlays."
  }
}

variable "bucket" {
  description = "Name of the S3 bucket; no other bucket of AWS may have it."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.bucket))
    error_message = "A bucket has 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "region" {
  description = "AWS region of the cluster."
  type        = string

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.region))
    error_message = "A region such as eu-central-1."
  }
}

variable "oidc_provider_arn" {
  description = "ARN of the EKS cluster's IAM OIDC provider: by it pods get the rights of their service accounts."
  type        = string

  validation {
    condition     = can(regex("^arn:aws[a-z-]*:iam::[0-9]{12}:oidc-provider/.+$", var.oidc_provider_arn))
    error_message = "An ARN as arn:aws:iam::123456789012:oidc-provider/oidc.eks.REGION.amazonaws.com/id/ID."
  }
}

variable "vpc_id" {
  description = "VPC of the cluster."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of that VPC, in two availability zones or more, for PostgreSQL."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) >= 2
    error_message = "RDS needs subnets in two availability zones or more."
  }
}

variable "node_security_group_id" {
  description = "Security group of the cluster's nodes, which alone reaches PostgreSQL."
  type        = string
}

variable "image_tag" {
  description = "Tag of the flows' image in ECR."
  type        = string
}

variable "database_class" {
  description = "Instance class of PostgreSQL."
  type        = string
  default     = "db.t4g.small"
}

variable "keep_days" {
  description = "Days that a replaced or deleted object, and a backup of PostgreSQL, can be brought back."
  type        = number
  default     = 30

  validation {
    condition     = var.keep_days >= 1 && var.keep_days <= 35
    error_message = "RDS keeps backups for 1 to 35 days."
  }
}

variable "charts" {
  description = "Whether the charts of terraform/platform are installed; false where the cluster has Argo and Prometheus."
  type        = bool
  default     = true
}
