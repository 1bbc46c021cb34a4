# terraform/platform on an EKS cluster that is there, with S3 instead of MinIO, RDS instead of its PostgreSQL, ECR, and roles
# instead of keys.

locals {
  tags      = { project = var.name }
  issuer    = regex("oidc-provider/(.+)$", var.oidc_provider_arn)[0]
  partition = regex("^arn:(aws[a-z-]*):", var.oidc_provider_arn)[0]
  account   = regex("::([0-9]{12}):", var.oidc_provider_arn)[0]
  servers   = "${var.name}-servers"
  bucket    = "arn:${local.partition}:s3:::${var.bucket}"
  read      = ["s3:GetObject"]
  write     = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"]
  # Those of config/minio/users.sh: which prefixes an account may write or read, and what it may list ("*": all).
  accounts = {
    churnflow-flows  = { namespace = var.name, write = ["metaflow", "dvc", "log", "scores", "bentos"], read = [], list = ["*"] }
    churnflow-deploy = { namespace = var.name, write = ["metaflow", "log", "bentos"], read = ["dvc"], list = ["*"] }
    churn-service    = { namespace = var.name, write = ["log"], read = ["bentos"], list = ["log", "log/*", "bentos", "bentos/*"] }
    mlflow           = { namespace = local.servers, write = ["mlflow"], read = [], list = ["mlflow", "mlflow/*"] }
    metaflow-ui      = { namespace = local.servers, write = [], read = ["metaflow"], list = ["metaflow", "metaflow/*"] }
  }
}

resource "aws_kms_key" "churnflow" {
  description             = "${var.name}: S3, PostgreSQL and images"
  deletion_window_in_days = 30
  enable_key_rotation     = true
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RightsAreGivenByIAM", Effect = "Allow", Action = "kms:*", Resource = "*"
      Principal = { AWS = "arn:${local.partition}:iam::${local.account}:root" }
    }]
  })
  tags = local.tags
}

resource "aws_s3_bucket" "churnflow" {
  #checkov:skip=CKV_AWS_144:one region; a copy elsewhere doubles the places where customers must be erased
  #checkov:skip=CKV_AWS_18:access is logged by CloudTrail's data events, an account's decision
  #checkov:skip=CKV2_AWS_62:nothing listens to events of objects
  bucket = var.bucket
  tags   = local.tags
}

resource "aws_s3_bucket_public_access_block" "churnflow" {
  bucket                  = aws_s3_bucket.churnflow.id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_versioning" "churnflow" {
  bucket = aws_s3_bucket.churnflow.id
  versioning_configuration { status = "Enabled" }
}

resource "aws_s3_bucket_lifecycle_configuration" "churnflow" {
  bucket = aws_s3_bucket.churnflow.id
  rule {
    id     = "replaced-and-deleted"
    status = "Enabled"
    filter {}
    noncurrent_version_expiration { noncurrent_days = var.keep_days }
    abort_incomplete_multipart_upload { days_after_initiation = 1 }
  }
  depends_on = [aws_s3_bucket_versioning.churnflow]
}

resource "aws_s3_bucket_server_side_encryption_configuration" "churnflow" {
  bucket = aws_s3_bucket.churnflow.id
  rule {
    bucket_key_enabled = true
    apply_server_side_encryption_by_default {
      sse_algorithm     = "aws:kms"
      kms_master_key_id = aws_kms_key.churnflow.arn
    }
  }
}

resource "aws_s3_bucket_policy" "churnflow" {
  bucket = aws_s3_bucket.churnflow.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "EncryptedConnectionsOnly", Effect = "Deny", Principal = "*", Action = "s3:*"
      Resource  = [local.bucket, "${local.bucket}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}

resource "aws_iam_role" "account" {
  for_each = local.accounts

  name = "${var.name}-${each.key}"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow", Action = "sts:AssumeRoleWithWebIdentity"
      Principal = { Federated = var.oidc_provider_arn }
      Condition = { StringEquals = {
        "${local.issuer}:sub" = "system:serviceaccount:${each.value.namespace}:${each.key}"
        "${local.issuer}:aud" = "sts.amazonaws.com"
      } }
    }]
  })
  tags = local.tags
}

resource "aws_iam_role_policy" "account" {
  for_each = local.accounts

  name = "bucket"
  role = aws_iam_role.account[each.key].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [for prefix in each.value.write : { Effect = "Allow", Action = local.write, Resource = "${local.bucket}/${prefix}/*" }],
      [for prefix in each.value.read : { Effect = "Allow", Action = local.read, Resource = "${local.bucket}/${prefix}/*" }],
      [
        { Effect = "Allow", Action = ["s3:ListBucket"], Resource = local.bucket, Condition = { StringLike = { "s3:prefix" = each.value.list } } },
        { Effect = "Allow", Action = ["s3:GetBucketLocation"], Resource = local.bucket },
        { Effect = "Allow", Action = ["kms:Decrypt", "kms:GenerateDataKey"], Resource = aws_kms_key.churnflow.arn },
      ],
    )
  })
}

resource "aws_ecr_repository" "image" {
  for_each = toset(["flows", "serving"])

  name                 = "${var.name}/${each.value}"
  image_tag_mutability = "IMMUTABLE"
  image_scanning_configuration { scan_on_push = true }
  encryption_configuration {
    encryption_type = "KMS"
    kms_key         = aws_kms_key.churnflow.arn
  }
  tags = local.tags
}

resource "random_password" "database" {
  length  = 40
  special = false
}

resource "aws_db_subnet_group" "churnflow" {
  name       = var.name
  subnet_ids = var.subnet_ids
  tags       = local.tags
}

resource "aws_security_group" "database" {
  name        = "${var.name}-database"
  description = "PostgreSQL of ${var.name}: the nodes of the cluster alone"
  vpc_id      = var.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from the nodes"
  referenced_security_group_id = var.node_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_parameter_group" "churnflow" {
  name   = var.name
  family = "postgres17"
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  parameter {
    name  = "log_statement"
    value = "ddl"
  }
  parameter {
    name  = "log_min_duration_statement"
    value = "5000"
  }
  tags = local.tags
}

data "aws_iam_policy_document" "monitoring" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["monitoring.rds.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "monitoring" {
  name               = "${var.name}-database-monitoring"
  assume_role_policy = data.aws_iam_policy_document.monitoring.json
  tags               = local.tags
}

resource "aws_iam_role_policy_attachment" "monitoring" {
  role       = aws_iam_role.monitoring.name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonRDSEnhancedMonitoringRole"
}

resource "aws_db_instance" "churnflow" {
  identifier                          = var.name
  engine                              = "postgres"
  engine_version                      = "17"
  instance_class                      = var.database_class
  db_name                             = "churnflow"
  username                            = "churnflow"
  password                            = random_password.database.result
  allocated_storage                   = 20
  max_allocated_storage               = 200
  storage_encrypted                   = true
  kms_key_id                          = aws_kms_key.churnflow.arn
  db_subnet_group_name                = aws_db_subnet_group.churnflow.name
  vpc_security_group_ids              = [aws_security_group.database.id]
  parameter_group_name                = aws_db_parameter_group.churnflow.name
  multi_az                            = true
  publicly_accessible                 = false
  auto_minor_version_upgrade          = true
  backup_retention_period             = var.keep_days
  copy_tags_to_snapshot               = true
  deletion_protection                 = true
  skip_final_snapshot                 = false
  final_snapshot_identifier           = "${var.name}-last"
  iam_database_authentication_enabled = true
  performance_insights_enabled        = true
  performance_insights_kms_key_id     = aws_kms_key.churnflow.arn
  monitoring_interval                 = 60
  monitoring_role_arn                 = aws_iam_role.monitoring.arn
  enabled_cloudwatch_logs_exports     = ["postgresql", "upgrade"]
  tags                                = local.tags
}

module "platform" {
  source = "../platform"

  namespace   = var.name
  bucket      = aws_s3_bucket.churnflow.bucket
  flows_image = "${aws_ecr_repository.image["flows"].repository_url}:${var.image_tag}"
  store       = { region = var.region }
  database    = { host = aws_db_instance.churnflow.address, mlflow = "churnflow", metaflow = "churnflow", credentials = "database", ssl_mode = "require" }
  accounts    = { for name, role in aws_iam_role.account : name => { "eks.amazonaws.com/role-arn" = role.arn } }
  charts      = var.charts
}

resource "kubernetes_secret_v1" "database" {
  metadata {
    name      = "database"
    namespace = module.platform.servers_namespace
  }
  data = { username = aws_db_instance.churnflow.username, password = random_password.database.result }
}
