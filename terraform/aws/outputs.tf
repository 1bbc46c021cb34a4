output "env" {
  description = "The .env that make argo-deploy reads. No keys: pods have roles, and you your own AWS session."
  value       = module.platform.env
}

output "images" {
  description = "Where docker pushes the two images (docs/deployment.md, Images)."
  value       = { for name, one in aws_ecr_repository.image : name => one.repository_url }
}
