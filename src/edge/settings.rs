//! Reads `config/edge.toml`: a distribution that reads like the Terraform for it, and the desk's parameters (⚙).
