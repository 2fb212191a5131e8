variable "secrets" {
  description = "The secrets to rotate, by a name of your own."
  nullable    = false
  type = map(object({
    secret_arn          = string                            # the whole ARN, with the six characters at its end
    strategy            = optional(string)                  # `single-user` or `alternating-users`; left out, an admin secret makes it the latter
    admin_secret_arn    = optional(string)                  # the secret of the role that makes the second user, e.g. one that RDS manages
    kms_key_arn         = optional(string)                  # the key that encrypts the secret, unless it is `aws/secretsmanager`
    admin_kms_key_arn   = optional(string)                  # the key that encrypts the admin secret, unless it is `aws/secretsmanager`
    schedule_expression = optional(string, "rate(30 days)") # `rate(...)` or a six-field `cron(...)` in UTC, at most every 4 hours
    window              = optional(string)                  # how long after the scheduled time a rotation may begin, e.g. `3h`
    rotate_immediately  = optional(bool, false)             # also rotate when the rotation is set up or changed
    policy = optional(object({                              # the fields of `ROTATION_POLICY` that the project's README explains
      owner_role       = optional(string)                   # the role that both users act as
      create_users     = optional(bool)                     # `false`: create and grant nothing
      grants           = optional(list(string))             # what the application needs, in the words that follow GRANT
      probes           = optional(list(string))             # statements that the application runs
      retire_after     = optional(string)                   # how long `retire` leaves the former user its password, e.g. `24h`
      rotation_host    = optional(string)                   # where to connect in place of the secret's host
      tls_server_name  = optional(string)                   # the name in the server's certificate
      allow_plaintext  = optional(bool)                     # respect `"ssl": false` in the secret
      password_storage = optional(string)                   # `server`, `scram-sha-256`, `md5` or `cleartext`
      admin_reset      = optional(bool)                     # the admin may set a password that nobody knows any more
    }), {})
  }))

  validation {
    condition     = length(var.secrets) >= 1 && length(var.secrets) <= 40
    error_message = "secrets holds 1 to 40 entries: Lambda gives the permissions to invoke one function 20 KB. Use the module once more for the rest."
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
    error_message = "secret_arn and admin_secret_arn are whole ARNs, arn:aws:secretsmanager:<region>:<account>:secret:<name>-<6 characters>, without wildcards."
  }
  validation {
    condition     = length(distinct([for s in var.secrets : s.secret_arn])) == length(var.secrets)
    error_message = "Two entries in secrets have the same secret_arn."
  }
  validation {
    condition     = length(distinct([for s in var.secrets : join(":", slice(split(":", "${s.secret_arn}:::::"), 0, 5))])) == 1
    error_message = "All secrets are in the function's own region and account. Use the module once for each."
  }
  validation {
    condition     = alltrue([for s in var.secrets : s.strategy == null ? true : contains(["single-user", "alternating-users"], s.strategy)])
    error_message = "strategy is \"single-user\" or \"alternating-users\"."
  }
  validation {
    condition     = alltrue([for s in var.secrets : s.strategy == "alternating-users" ? s.admin_secret_arn != null : true])
    error_message = "alternating-users needs admin_secret_arn, also where the secret names its masterarn: the function may read no other admin secret."
  }
  validation {
    condition     = alltrue([for s in var.secrets : s.admin_kms_key_arn == null || s.admin_secret_arn != null])
    error_message = "admin_kms_key_arn is set without admin_secret_arn."
  }
  validation {
    condition = alltrue([for s in var.secrets : alltrue([
      for arn in compact([s.kms_key_arn, s.admin_kms_key_arn]) : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))
    ])])
    error_message = "kms_key_arn and admin_kms_key_arn are ARNs of keys; IAM takes no alias."
  }
  validation {
    condition = alltrue([for s in var.secrets : can(regex(
      "^(rate\\((1 day|([2-9]|[1-9][0-9]{1,2}) days|([4-9]|[1-9][0-9]{1,2}) hours)\\)|cron\\(0( [^ )]+){4} \\*\\))$", s.schedule_expression
    ))])
    error_message = "schedule_expression is rate(<n> hours) from 4 on, rate(<n> days), or cron(0 <hours> <day> <month> <weekday> *)."
  }
  validation {
    condition     = alltrue([for s in var.secrets : s.window == null ? true : can(regex("^([1-9]|1[0-9]|2[0-4])h$", s.window))])
    error_message = "window is 1h to 24h."
  }
  validation {
    condition = alltrue([for s in var.secrets : s.policy.password_storage == null ? true :
    contains(["server", "scram-sha-256", "md5", "cleartext"], s.policy.password_storage)])
    error_message = "password_storage is \"server\", \"scram-sha-256\", \"md5\" or \"cleartext\"."
  }
  validation {
    condition     = alltrue([for s in var.secrets : s.policy.retire_after == null ? true : can(regex("^[0-9]{1,9}[smhd]$", s.policy.retire_after))])
    error_message = "retire_after is a number of seconds, minutes, hours or days such as 90m, 24h or 7d."
  }
}

variable "subnet_ids" {
  description = "The subnets of the function, all in one VPC, with a route to the databases."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids is empty: the function reaches the databases through a VPC."
  }
}

variable "databases" {
  description = "The security groups of the databases, by a name of your own."
  nullable    = false
  type = map(object({
    security_group_id = string                 # the group that the database has
    port              = optional(number, 5432) # the port it listens on
  }))

  validation {
    condition     = length(var.databases) > 0
    error_message = "databases is empty: the function may connect to no database."
  }
  validation {
    condition     = alltrue([for d in var.databases : d.port >= 1 && d.port <= 65535 && floor(d.port) == d.port])
    error_message = "A port is a whole number from 1 to 65535."
  }
}

variable "endpoint" {
  description = "How the function reaches Secrets Manager: exactly one of these."
  nullable    = false
  type = object({
    security_group_ids = optional(list(string), []) # those of an interface endpoint with private DNS that the VPC has
    prefix_list_ids    = optional(list(string), []) # those of the addresses at which it is reached, e.g. in another VPC
    create             = optional(bool, false)      # make an interface endpoint for this function alone, in its subnets, of which a zone then has one at most
  })

  validation {
    condition = length([
      for way in [length(var.endpoint.security_group_ids) > 0, length(var.endpoint.prefix_list_ids) > 0, var.endpoint.create] : way if way
    ]) == 1
    error_message = "endpoint has exactly one of security_group_ids, prefix_list_ids and create = true."
  }
}

variable "manage_ingress_rules" {
  description = "Whether the module adds the rules that let the function in to the groups of the databases and of the endpoint. Set it to false where those groups have their rules inline, which would remove these; add them there, from `security_group_id`."
  type        = bool
  default     = true
  nullable    = false
}

variable "name" {
  description = "The name of the function, and the beginning of every other name."
  type        = string
  default     = "postgres-secret-rotation"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,37}$", var.name)) && !startswith(var.name, "sg-")
    error_message = "name has 1 to 37 letters, digits, \"-\" and \"_\", and does not begin with \"sg-\"."
  }
}

variable "package" {
  description = "The function's zip file; left out, what `make package` builds beside the module."
  type        = string
  default     = null
}

variable "architecture" {
  description = "The architecture the package was built for: `x86_64` or `arm64`."
  type        = string
  default     = "x86_64"
  nullable    = false

  validation {
    condition     = contains(["x86_64", "arm64"], var.architecture)
    error_message = "architecture is \"x86_64\" or \"arm64\"."
  }
}

variable "memory_size" {
  description = "Memory in MB; the function takes a tenth of the smallest."
  type        = number
  default     = 128
  nullable    = false
}

variable "timeout" {
  description = "Seconds for one step."
  type        = number
  default     = 60
  nullable    = false

  validation {
    condition     = var.timeout >= 15 && var.timeout <= 900
    error_message = "timeout is 15 to 900 seconds: a step that waits for a lock takes some."
  }
}

variable "reserved_concurrency" {
  description = "How many rotations run at once at most, kept free for this function; -1 neither limits nor keeps. A new account may have none to give."
  type        = number
  default     = 10
  nullable    = false

  validation {
    condition     = var.reserved_concurrency == -1 || var.reserved_concurrency >= 1
    error_message = "reserved_concurrency is -1 or at least 1: with 0 nothing would rotate."
  }
}

variable "password_policy" {
  description = "What a new password looks like; what is left out has the function's default."
  default     = {}
  nullable    = false
  type = object({
    length                     = optional(number) # 8 to 128
    exclude_characters         = optional(string) # characters that no password has
    exclude_lowercase          = optional(bool)   # no a to z
    exclude_uppercase          = optional(bool)   # no A to Z
    exclude_numbers            = optional(bool)   # no digits
    exclude_punctuation        = optional(bool)   # none of the rest
    require_each_included_type = optional(bool)   # each type that is not excluded occurs
  })

  validation {
    condition     = var.password_policy.length == null ? true : var.password_policy.length >= 8 && var.password_policy.length <= 128
    error_message = "password_policy.length is 8 to 128."
  }
}

variable "ca_bundle" {
  description = "Root certificates that take the place of Amazon RDS's, e.g. for servers of your own."
  default     = null
  type = object({
    layer_arn = string # a version of a layer that holds the PEM file
    file      = string # its path, e.g. `/opt/roots.pem`
  })

  validation {
    condition     = var.ca_bundle == null ? true : can(regex(":layer:[^:]+:[0-9]+$", var.ca_bundle.layer_arn)) && startswith(var.ca_bundle.file, "/opt/")
    error_message = "ca_bundle.layer_arn is the ARN of a layer's version, and ca_bundle.file a path below /opt/, where layers are."
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
  description = "How long logs are kept; 0: for ever."
  type        = number
  default     = 365
  nullable    = false
}

variable "kms_key_arn" {
  description = "The key that encrypts the logs and the function's environment; its policy has to allow CloudWatch Logs to use it."
  type        = string
  default     = null

  validation {
    condition     = var.kms_key_arn == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", var.kms_key_arn))
    error_message = "kms_key_arn is the ARN of a key, not an alias."
  }
}

variable "permissions_boundary" {
  description = "ARN of the policy that bounds the function's role."
  type        = string
  default     = null
}

variable "alarm_actions" {
  description = "ARNs that the alarms notify, e.g. an SNS topic."
  type        = list(string)
  default     = []
  nullable    = false
}

variable "tags" {
  description = "Tags of everything the module makes."
  type        = map(string)
  default     = {}
  nullable    = false
}
