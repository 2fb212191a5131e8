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
  description = "The path of the function's zip file. Set this or `package_s3`."
  type        = string
  default     = null
}

variable "package_s3" {
  description = "The function's zip file in an S3 bucket of the function's region. It needs `package_sha256`."
  default     = null
  type = object({
    bucket  = string           # the bucket
    key     = string           # the key of the zip file
    version = optional(string) # the version of the object, in a bucket with versioning
  })
}

variable "package_sha256" {
  description = "The SHA-256 of the zip file in hexadecimal, as in the `SHA256SUMS` of a release."
  type        = string
  default     = null

  validation {
    condition     = can(regex("^[0-9a-f]{64}$", coalesce(var.package_sha256, sha256(""))))
    error_message = "package_sha256 has 64 digits from 0 to 9 and a to f, as in SHA256SUMS."
  }
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
    condition     = var.timeout >= 30 && var.timeout <= 900
    error_message = "timeout is 30 to 900 seconds. A step may have to wait for a lock."
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

  validation {
    condition = (
      var.permissions_boundary == null ? true :
      can(regex("^arn:[a-z-]+:iam::([0-9]{12}|aws):policy/.+$", var.permissions_boundary))
    )
    error_message = "permissions_boundary is the ARN of an IAM policy."
  }
}

variable "alarm_actions" {
  description = "ARNs that the alarms notify, such as an SNS topic."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = length(var.alarm_actions) <= 5
    error_message = "alarm_actions has at most 5 entries."
  }
}

variable "tags" {
  description = "Tags for everything that the module creates."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition = length(var.tags) <= 49 && alltrue([
      for key, value in var.tags : can(regex("^.{1,128}$", key)) && length(value) <= 256 && !startswith(key, "aws:")
    ])
    error_message = <<-EOT
      tags has at most 49 entries. Keys have up to 128 characters and do not start with "aws:".
      Values have up to 256 characters.
    EOT
  }
}
