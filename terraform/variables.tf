variable "secrets" {
  description = "The secrets whose rotation the module sets up, under names of your choice."
  default     = {}
  nullable    = false
  type = map(object({
    secret_arn        = string           # the full ARN, including the six random characters at its end
    strategy          = optional(string) # `single-user`, or `alternating-users`, the default with an admin secret
    admin_secret_arn  = optional(string) # the secret of an admin role, such as one that RDS manages
    kms_key_arn       = optional(string) # the KMS key of the secret, unless it is `aws/secretsmanager`
    admin_kms_key_arn = optional(string) # the KMS key of the admin secret, unless it is `aws/secretsmanager`

    schedule_expression = optional(string, "rate(30 days)") # `rate(...)`, or `cron(...)` with six fields in UTC
    window              = optional(string)                  # how late a scheduled rotation may start, such as `3h`
    rotate_immediately  = optional(bool, false)             # whether to rotate when the rotation is set up or changed

    policy = optional(object({                     # fields of `ROTATION_POLICY`
      role                = optional(string)       # the role that the secret may name, itself or its second user
      owner_role          = optional(string)       # the role that both users act as
      databases           = optional(list(string)) # where else the two users must have the same rights; default: all
      connection_strings  = optional(list(string)) # keys of the secret whose value is a `postgres://` URL
      create_users        = optional(bool)         # `false`: never create a role or grant a membership
      grants              = optional(list(string)) # what the application may do, written as in `GRANT`
      probes              = optional(list(string)) # statements that the application runs
      retire_after        = optional(string)       # how long the previous user keeps its password, such as `24h`
      overlap             = optional(string)       # how soon after a turn the next one may begin; default: `5m`
      lease               = optional(string)       # how long a password is valid after its turn, such as `36h`
      on_overdue          = optional(string)       # a lease whose turn is late: `renew`, the default, or `expire`
      terminate_on_retire = optional(bool)         # whether the monitor ends the sessions of an ended password
      max_refused_logins  = optional(number)       # how many refused logins one invocation may cause
      former_hosts        = optional(list(string)) # hosts of older versions to try at the present one
      rotation_host       = optional(string)       # the host to connect to, in place of the secret's
      rotation_port       = optional(number)       # the port of `rotation_host`
      tls_server_name     = optional(string)       # the name in the server's certificate, in place of the host
      allow_plaintext     = optional(bool)         # whether `"ssl": false` in the secret turns TLS off
      password_storage    = optional(string)       # `server`, `scram-sha-256`, `md5` or `cleartext`
      admin_reset         = optional(bool)         # whether the admin sets a new password when no stored one works
      metrics_per_secret  = optional(bool)         # whether the monitor writes metrics of this secret by its name
    }), {})
  }))

  validation {
    condition     = alltrue([for name, _ in var.secrets : can(regex("^[A-Za-z0-9_-]{1,64}$", name))])
    error_message = "A name in secrets has 1 to 64 letters, digits, \"-\" and \"_\"."
  }
  validation {
    condition = alltrue([
      for s in var.secrets :
      can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*?]+-[A-Za-z0-9]{6}$", s.secret_arn))
    ])
    error_message = <<-EOT
      secret_arn is a full ARN without wildcards:
      arn:aws:secretsmanager:<region>:<account>:secret:<name>-<6 characters>
    EOT
  }
  validation {
    condition     = alltrue([for s in var.secrets : !strcontains(s.secret_arn, "!")])
    error_message = "A secret with \"!\" in its name belongs to an AWS service, which rotates it itself."
  }
  validation {
    condition     = length(distinct([for s in var.secrets : s.secret_arn])) == length(var.secrets)
    error_message = "Two entries in secrets have the same secret_arn."
  }
  validation {
    condition = length(distinct([
      for s in var.secrets : join(":", slice(split(":", "${s.secret_arn}:::::"), 0, 5))
    ])) <= 1
    error_message = "All secrets must be in one region and account. Use the module once for each."
  }
  validation {
    condition     = alltrue([for s in var.secrets : s.admin_secret_arn != s.secret_arn])
    error_message = "admin_secret_arn is the rotated secret itself. It must be the secret of another role."
  }
  validation {
    condition = alltrue([
      for s in var.secrets : s.kms_key_arn == null ? true :
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", s.kms_key_arn))
    ])
    error_message = "kms_key_arn is the ARN of a key. IAM does not accept an alias."
  }
}
