output "env" {
  description = "The .env that make argo-deploy reads, without keys: make infra-env adds those of secret churnflow-flows."
  value       = local.environment
}

output "servers_namespace" {
  description = "Namespace of MLflow, Metaflow's servers and, where they are in the cluster, MinIO and PostgreSQL."
  value       = kubernetes_namespace_v1.servers.metadata[0].name
}
