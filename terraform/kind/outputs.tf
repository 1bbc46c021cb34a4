output "env" {
  description = "The .env that make argo-deploy reads."
  value       = module.platform.env
}
