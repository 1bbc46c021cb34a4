mock_provider "aws" {
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::123456789012:role/made-up" }
  }
  mock_resource "aws_ecr_repository" {
    defaults = { repository_url = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/churnflow/flows" }
  }
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-central-1:123456789012:key/made-up" }
  }
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}
mock_provider "helm" {}
mock_provider "kubernetes" {}
mock_provider "random" {}

variables {
  bucket                 = "example-churnflow"
  region                 = "eu-central-1"
  oidc_provider_arn      = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/MADEUP"
  vpc_id                 = "vpc-0"
  subnet_ids             = ["subnet-0", "subnet-1"]
  node_security_group_id = "sg-0"
  image_tag              = "0.1.0"
}

run "roles_instead_of_keys" {
  assert {
    condition     = module.platform.env == output.env && !contains(keys(output.env), "AWS_ENDPOINT_URL_S3")
    error_message = "The outputs are not the .env of the platform."
  }
  assert {
    condition = alltrue([for role in aws_iam_role.account :
    jsondecode(role.assume_role_policy).Statement[0].Condition.StringEquals["oidc.eks.eu-central-1.amazonaws.com/id/MADEUP:aud"] == "sts.amazonaws.com"])
    error_message = "A role could be taken by other pods."
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.account["churn-service"].policy, "mlflow/*") && !strcontains(aws_iam_role_policy.account["churn-service"].policy, "metaflow/*")
    error_message = "The service may read more than its Bento and its log."
  }
  assert {
    condition     = alltrue([for one in aws_iam_role_policy.account : !strcontains(one.policy, "s3:*") && !strcontains(one.policy, "\"Resource\":\"*\"")])
    error_message = "A role may do anything."
  }
}

run "one_subnet" {
  command = plan
  variables { subnet_ids = ["subnet-0"] }
  expect_failures = [var.subnet_ids]
}
