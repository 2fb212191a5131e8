variable "secret_prefixes" {
  description = "Starts of the names of secrets that others attach to the function, such as `prod/postgres/`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.secrets) + length(var.secret_prefixes) > 0
    error_message = "Set secrets or secret_prefixes. Otherwise the function has nothing to rotate."
  }
  validation {
    condition     = alltrue([for p in var.secret_prefixes : can(regex("^[A-Za-z0-9/_+=.@-]{1,512}$", p))])
    error_message = "A prefix is the start of a secret's name, without \"*\". An empty one would match every secret."
  }
  validation {
    condition = alltrue(flatten([
      for p in var.secret_prefixes : [for other in var.secret_prefixes : p == other || !startswith(p, other)]
    ])) && length(distinct(var.secret_prefixes)) == length(var.secret_prefixes)
    error_message = "One of secret_prefixes starts with another one, which covers it already."
  }
}

variable "secret_prefix_kms_key_arns" {
  description = "The KMS keys of the secrets below `secret_prefixes`, unless all use `aws/secretsmanager`."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([
      for arn in var.secret_prefix_kms_key_arns :
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))
    ])
    error_message = "secret_prefix_kms_key_arns are ARNs of keys. IAM does not accept an alias."
  }
}

variable "policies" {
  description = "Policies for secrets by their name, or by the start of their name and `*`. The longest match counts."
  default     = {}
  nullable    = false
  type = map(object({
    strategy          = optional(string) # as in `secrets`
    admin_secret_arn  = optional(string) # as in `secrets`
    admin_kms_key_arn = optional(string) # as in `secrets`

    policy = optional(object({                     # as in `secrets`
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
    condition     = alltrue([for key, _ in var.policies : can(regex("^[A-Za-z0-9/_+=.@-]{1,512}[*]?$", key))])
    error_message = "A key of policies is a secret's name, or the start of a name and one \"*\" at the end."
  }
  validation {
    condition = alltrue([
      for key, _ in var.policies : anytrue(concat(
        [for p in var.secret_prefixes : startswith(key, p)],
        [for s in var.secrets : try(startswith(split(":secret:", s.secret_arn)[1], trimsuffix(key, "*")), true)],
      ))
    ])
    error_message = "A key of policies fits no secret: neither one of secrets nor one below secret_prefixes."
  }

  # The rules below are for the same fields in secrets and trusted_admin_secrets, too.
  validation {
    condition = length(var.trusted_admin_secrets) > 0 || alltrue([
      for e in concat(values(var.secrets), values(var.policies)) :
      e.strategy != "alternating-users" || e.admin_secret_arn != null
    ])
    error_message = "alternating-users needs admin_secret_arn. A masterarn counts only with trusted_admin_secrets."
  }
  validation {
    condition = alltrue([
      for e in concat(values(var.secrets), values(var.policies)) :
      contains(["single-user", "alternating-users"], coalesce(e.strategy, "single-user"))
    ])
    error_message = "strategy is \"single-user\" or \"alternating-users\"."
  }
  validation {
    condition = alltrue([
      for arn in compact(concat(
        values(var.secrets)[*].admin_secret_arn,
        values(var.policies)[*].admin_secret_arn,
        var.trusted_admin_secrets[*].secret_arn,
      )) :
      can(regex("^arn:[a-z-]+:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:[^*?]+-[A-Za-z0-9]{6}$", arn))
    ])
    error_message = "The ARN of an admin secret is full, including the six characters at its end, without wildcards."
  }
  validation {
    condition = alltrue([
      for e in concat(values(var.secrets), values(var.policies)) :
      e.admin_kms_key_arn == null || e.admin_secret_arn != null
    ])
    error_message = "admin_kms_key_arn needs admin_secret_arn."
  }
  validation {
    condition = alltrue([
      for arn in compact(concat(
        values(var.secrets)[*].admin_kms_key_arn,
        values(var.policies)[*].admin_kms_key_arn,
        var.trusted_admin_secrets[*].kms_key_arn,
      )) :
      can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/[A-Za-z0-9-]+$", arn))
    ])
    error_message = "The KMS key of an admin secret is named by its ARN. IAM does not accept an alias."
  }
  validation {
    condition = alltrue([
      for e in concat(values(var.secrets), values(var.policies)) :
      contains(["server", "scram-sha-256", "md5", "cleartext"], coalesce(e.policy.password_storage, "server"))
    ])
    error_message = "password_storage is \"server\", \"scram-sha-256\", \"md5\" or \"cleartext\"."
  }
  validation {
    condition = alltrue([
      for e in concat(values(var.secrets), values(var.policies)) :
      can(regex("^[0-9]{1,9}[smhd]$", coalesce(e.policy.retire_after, "24h")))
    ])
    error_message = "retire_after is a number of seconds, minutes, hours or days, such as 90m, 24h or 7d."
  }
  validation {
    condition = alltrue([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) :
      can(regex("^[0-9]{1,9}[smhd]$", coalesce(p.overlap, "5m")))
    ])
    error_message = "overlap is a number of seconds, minutes, hours or days, such as 5m."
  }
  validation {
    condition = alltrue([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) :
      can(regex("^(([6-9]|[1-9][0-9]{1,4})h|[1-9][0-9]{0,3}d)$", coalesce(p.lease, "6h")))
    ])
    error_message = "lease is a number of hours or days, from 6h on, such as 36h."
  }
  validation {
    condition = alltrue([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) :
      p.on_overdue == null ? true : contains(["renew", "expire"], p.on_overdue) && p.lease != null
    ])
    error_message = "on_overdue is \"renew\" or \"expire\", and needs lease."
  }
  validation {
    condition = alltrue([
      for e in concat(values(var.secrets), values(var.policies)) :
      e.policy.lease == null ? true : (
        (e.admin_secret_arn != null || length(var.trusted_admin_secrets) > 0)
        && e.strategy != "single-user" && e.policy.role != null
      )
    ])
    error_message = <<-EOT
      lease needs alternating users with an admin secret, and their role in policy.role. The admin sets the end of the
      password: the role itself may not.
    EOT
  }
  validation {
    condition = alltrue(flatten([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) : [
        for name in concat([p.role, p.owner_role], coalesce(p.databases, [])) :
        name == null ? true : length(name) >= 1 && length(base64encode(name)) <= 84
      ]
    ]))
    error_message = "role, owner_role and each of databases have 1 to 63 bytes, as every name in PostgreSQL."
  }
  validation {
    condition = alltrue(flatten([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) : [
        for key in coalesce(p.connection_strings, []) : key != "" && !contains([
          "engine", "host", "port", "dbname", "username", "password", "masterarn", "ssl", "rotation",
        ], key)
      ]
    ]))
    error_message = "connection_strings names other keys than the rotation's own, such as DATABASE_URL."
  }
  validation {
    condition = alltrue([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) :
      p.rotation_port == null ? true :
      p.rotation_host != null && p.rotation_port == min(max(floor(p.rotation_port), 1), 65535)
    ])
    error_message = "rotation_port is a whole number from 1 to 65535 and needs rotation_host."
  }
  validation {
    condition = alltrue([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) :
      p.max_refused_logins == null ? true :
      p.max_refused_logins == min(max(floor(p.max_refused_logins), 1), 255)
    ])
    error_message = "max_refused_logins is a whole number from 1 to 255."
  }
  validation {
    condition = alltrue([
      for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) :
      p.admin_reset != true || p.role != null
    ])
    error_message = "admin_reset needs role, the role whose password the admin may set."
  }
  validation {
    condition = alltrue([
      for s in var.secrets : try(
        var.policies[regex(":secret:(.*)-[^-]*$", s.secret_arn)[0]] == null ||
        (s.strategy == null && s.admin_secret_arn == null && alltrue([for _, value in s.policy : value == null])),
        true
      )
    ])
    error_message = "A secret has a policy in secrets and one by its name in policies. Keep one of them."
  }
}

variable "trusted_admin_secrets" {
  description = "Admin secrets that a secret may name itself, as its `masterarn`, where `admin_secret_arn` is not set."
  default     = []
  nullable    = false
  type = list(object({
    secret_arn  = string           # the full ARN of an admin secret
    kms_key_arn = optional(string) # its KMS key, unless it is `aws/secretsmanager`
  }))

  validation {
    condition = alltrue([
      for s in var.trusted_admin_secrets : !contains(values(var.secrets)[*].secret_arn, s.secret_arn)
    ])
    error_message = "One of trusted_admin_secrets is a rotated secret. It must be the secret of another role."
  }
}
