variable "name" {
  description = "The start of the secret's name."
  type        = string
}

variable "database" {
  description = "The database and the role that the secret is for."
  type = object({
    host     = string # the host that the application connects to
    port     = number # the port that it listens on
    dbname   = string # the database that the role uses
    username = string # the role
  })
}

variable "password" {
  description = "The role's present password. Default: a random one."
  type        = string
  default     = null
  ephemeral   = true
}

variable "kms_key_arn" {
  description = "The KMS key that encrypts the secret. Default: `aws/secretsmanager`."
  type        = string
  default     = null
}
