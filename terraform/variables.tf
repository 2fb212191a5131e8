variable "secrets" {
  description = "The secrets to rotate, under names of your choice."
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

    policy = optional(object({                  # fields of `ROTATION_POLICY`, which the project's README explains
      owner_role       = optional(string)       # the role that both users act as
      create_users     = optional(bool)         # `false`: never create a role or grant a membership
      grants           = optional(list(string)) # what the application may do, written as in `GRANT`
      probes           = optional(list(string)) # statements that the application runs
      retire_after     = optional(string)       # how long the previous user keeps its password, such as `24h`
      rotation_host    = optional(string)       # the host to connect to, in place of the secret's
      tls_server_name  = optional(string)       # the name in the server's certificate, in place of the host
      allow_plaintext  = optional(bool)         # whether `"ssl": false` in the secret turns TLS off
      password_storage = optional(string)       # `server`, `scram-sha-256`, `md5` or `cleartext`
      admin_reset      = optional(bool)         # whether the admin sets a new password when no stored one works
    }), {})
  }))

  validation {
    condition     = length(var.secrets) >= 1 && length(var.secrets) <= 40
    error_message = "secrets has 1 to 40 entries: Lambda has no room for more permissions. Use the module again."
  }
  validation {
    condition     = alltrue([for name, _ in var.secrets : can(regex("^[A-Za-z0-9_-]{1,64}$", name))])
    error_message = "A name in secrets has 1 to 64 letters, digits, \"-\" and \"_\"."
  }
  validation {
    condition = alltrue([for s in var.secrets : alltrue([
      for arn in compact([s.secret_arn, s.admin_secret_arn]) :
      can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*?]+-[A-Za-z0-9]{6}$", arn))
    ])])
    error_message = <<-EOT
      secret_arn and admin_secret_arn are full ARNs without wildcards:
      arn:aws:secretsmanager:<region>:<account>:secret:<name>-<6 characters>
    EOT
  }
  validation {
    condition     = length(distinct([for s in var.secrets : s.secret_arn])) == length(var.secrets)
    error_message = "Two entries in secrets have the same secret_arn."
  }
  validation {
    condition = length(distinct([
      for s in var.secrets : join(":", slice(split(":", "${s.secret_arn}:::::"), 0, 5))
    ])) == 1
    error_message = "All secrets must be in one region and account. Use the module once for each."
  }
  validation {
    condition = alltrue([
      for s in var.secrets : s.strategy == null ? true : contains(["single-user", "alternating-users"], s.strategy)
    ])
    error_message = "strategy is \"single-user\" or \"alternating-users\"."
  }
  validation {
    condition = alltrue([
      for s in var.secrets : s.strategy == "alternating-users" ? s.admin_secret_arn != null : true
    ])
    error_message = "alternating-users needs admin_secret_arn, even if the secret has a masterarn."
  }
  validation {
    condition     = alltrue([for s in var.secrets : s.admin_kms_key_arn == null || s.admin_secret_arn != null])
    error_message = "admin_kms_key_arn needs admin_secret_arn."
  }
  validation {
    condition = alltrue([for s in var.secrets : alltrue([
      for arn in compact([s.kms_key_arn, s.admin_kms_key_arn]) :
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))
    ])])
    error_message = "kms_key_arn and admin_kms_key_arn are ARNs of keys. IAM does not accept an alias."
  }
  validation {
    condition = alltrue([for s in var.secrets : can(regex(join("|", [
      "^rate\\((1 day|([2-9]|[1-9][0-9]{1,2}) days|([4-9]|[1-9][0-9]{1,2}) hours)\\)$",
      "^cron\\(0( [^ )]+){4} \\*\\)$",
    ]), s.schedule_expression))])
    error_message = <<-EOT
      schedule_expression is rate(<n> hours) from 4 hours on, rate(<n> days),
      or cron(0 <hours> <day> <month> <weekday> *).
    EOT
  }
  validation {
    condition = alltrue([
      for s in var.secrets : s.window == null ? true : can(regex("^([1-9]|1[0-9]|2[0-4])h$", s.window))
    ])
    error_message = "window is 1h to 24h."
  }
  validation {
    condition = alltrue([
      for s in var.secrets : s.policy.password_storage == null ? true :
      contains(["server", "scram-sha-256", "md5", "cleartext"], s.policy.password_storage)
    ])
    error_message = "password_storage is \"server\", \"scram-sha-256\", \"md5\" or \"cleartext\"."
  }
  validation {
    condition = alltrue([
      for s in var.secrets : s.policy.retire_after == null ? true :
      can(regex("^[0-9]{1,9}[smhd]$", s.policy.retire_after))
    ])
    error_message = "retire_after is a number of seconds, minutes, hours or days, such as 90m, 24h or 7d."
  }
}

variable "subnet_ids" {
  description = "The function's subnets, all in one VPC, with a route to the databases."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids is empty. The function reaches the databases through a VPC."
  }
}

variable "databases" {
  description = "The databases that the function connects to, under names of your choice."
  nullable    = false
  type = map(object({
    security_group_id = string                 # the security group of the database
    port              = optional(number, 5432) # the port that it listens on
  }))

  validation {
    condition     = length(var.databases) > 0
    error_message = "databases is empty. The function could not connect to any database."
  }
  validation {
    condition     = alltrue([for d in var.databases : d.port >= 1 && d.port <= 65535 && floor(d.port) == d.port])
    error_message = "A port is a whole number from 1 to 65535."
  }
}

variable "endpoint" {
  description = "How the function reaches Secrets Manager. Set exactly one of these."
  nullable    = false
  type = object({
    security_group_ids = optional(list(string), []) # the groups of the VPC's endpoint, which has private DNS
    prefix_list_ids    = optional(list(string), []) # prefix lists with the addresses of an endpoint elsewhere
    create             = optional(bool, false)      # create an endpoint for the function alone, in its subnets
  })

  validation {
    condition = length([
      for way in [
        length(var.endpoint.security_group_ids) > 0, length(var.endpoint.prefix_list_ids) > 0, var.endpoint.create
      ] : way if way
    ]) == 1
    error_message = "Set exactly one of endpoint.security_group_ids, endpoint.prefix_list_ids and endpoint.create."
  }
}

variable "manage_ingress_rules" {
  description = "Whether the module lets the function into the security groups of the databases and the endpoint."
  type        = bool
  default     = true
  nullable    = false
}

variable "name" {
  description = "The name of the function. All other names start with it."
  type        = string
  default     = "postgres-secret-rotation"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,37}$", var.name)) && !startswith(var.name, "sg-")
    error_message = "name has 1 to 37 letters, digits, \"-\" and \"_\", and does not start with \"sg-\"."
  }
}

variable "package" {
  description = "The function's zip file. Default: what `make package` builds in this repository."
  type        = string
  default     = null
}

variable "architecture" {
  description = "The architecture of the package: `x86_64` or `arm64`."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is \"x86_64\" or \"arm64\"."
  }
}

variable "memory_size" {
  description = "Memory in MB. The function peaks at about 13 MiB, and 128 is Lambda's minimum."
  type        = number
  default     = 128
  nullable    = false
}

variable "timeout" {
  description = "Seconds that one step may take."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.timeout >= 15 && var.timeout <= 900
    error_message = "timeout is 15 to 900 seconds. A step may have to wait for a lock."
  }
}

variable "reserved_concurrency" {
  description = "How many steps may run at the same time. Lambda reserves them for this function. `-1`: no limit."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.reserved_concurrency == -1 || var.reserved_concurrency >= 1
    error_message = "reserved_concurrency is -1 or at least 1. With 0 nothing would rotate."
  }
}

variable "password_policy" {
  description = "The form of new passwords. Fields that are not set keep the function's defaults."
  default     = {}
  nullable    = false
  type = object({
    length                     = optional(number) # 8 to 128
    exclude_characters         = optional(string) # characters that no password contains
    exclude_lowercase          = optional(bool)   # no a to z
    exclude_uppercase          = optional(bool)   # no A to Z
    exclude_numbers            = optional(bool)   # no digits
    exclude_punctuation        = optional(bool)   # no other characters
    require_each_included_type = optional(bool)   # each type that is not excluded occurs
  })

  validation {
    condition = (
      var.password_policy.length == null ? true : var.password_policy.length >= 8 && var.password_policy.length <= 128
    )
    error_message = "password_policy.length is 8 to 128."
  }
}

variable "ca_bundle" {
  description = "Root certificates for servers of your own. They replace those of Amazon RDS."
  default     = null
  type = object({
    layer_arn = string # a version of a layer that contains the PEM file
    file      = string # the path of the file, such as `/opt/roots.pem`
  })

  validation {
    condition = (
      var.ca_bundle == null ? true :
      can(regex(":layer:[^:]+:[0-9]+$", var.ca_bundle.layer_arn)) && startswith(var.ca_bundle.file, "/opt/")
    )
    error_message = <<-EOT
      ca_bundle.layer_arn is the ARN of a layer's version.
      ca_bundle.file is a path below /opt/, where Lambda puts layers.
    EOT
  }
}

variable "log_level" {
  description = "`TRACE`, `DEBUG`, `INFO`, `WARN`, `ERROR` or `FATAL`."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.log_level)
    error_message = "log_level is TRACE, DEBUG, INFO, WARN, ERROR or FATAL."
  }
}

variable "log_retention_days" {
  description = "Days that logs are kept. `0`: for ever."
  type        = number
  default     = 365
  nullable    = false
}

variable "kms_key_arn" {
  description = "The KMS key of the logs and the function's environment. Its policy must let CloudWatch Logs use it."
  type        = string
  default     = null

  validation {
    condition = (
      var.kms_key_arn == null ? true :
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    )
    error_message = "kms_key_arn is the ARN of a key, not of an alias."
  }
}

variable "permissions_boundary" {
  description = "The ARN of a policy that limits the function's role."
  type        = string
  default     = null
}

variable "alarm_actions" {
  description = "ARNs that the alarms notify, such as an SNS topic."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "tags" {
  description = "Tags for everything that the module creates."
  type        = map(string)
  default     = {}
  nullable    = false
}
