# terraform/platform on the cluster that `make kind` has made: small disks, everything else the same.

provider "kubernetes" {
  config_path    = var.kubeconfig
  config_context = "kind-churnflow"
}

provider "helm" {
  kubernetes = {
    config_path    = var.kubeconfig
    config_context = "kind-churnflow"
  }
}

module "platform" {
  source = "../platform"

  flows_image = var.flows_image
  disk        = "5Gi"
}
