variable "kubeconfig" {
  description = "File that kind wrote the cluster's credentials to."
  type        = string
  default     = "~/.kube/config"
}

variable "flows_image" {
  description = "Image of the flows, which make kind builds and loads into the node."
  type        = string
  default     = "churnflow/flows:0.1.0"
}
