# The bundled rules for Terraform's own language; the rules for AWS are a plugin that tflint fetches from GitHub.
plugin "terraform" {
  enabled = true
  preset  = "all"
}

# More files than the standard three, each for what it is named.
rule "terraform_standard_module_structure" {
  enabled = false
}
