variable "subnet_ids" {
  description = "The function's subnets, all in one VPC, with a route to the databases."
  type        = list(string)
  nullable    = false

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "subnet_ids is empty. The function reaches the databases through a VPC."
  }
  validation {
    condition     = length(var.subnet_ids) <= 16 && length(distinct(var.subnet_ids)) == length(var.subnet_ids)
    error_message = "subnet_ids has at most 16 subnets, each of them once."
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
  validation {
    condition = length(var.databases) == length(distinct([
      for d in var.databases : "${d.security_group_id}:${d.port}"
    ]))
    error_message = "Two databases have the same security_group_id and port. One entry lets the function into both."
  }
  validation {
    condition = alltrue([
      for name, _ in var.databases : can(regex("^[A-Za-z0-9 ._:/()#,@+=&;{}!$*\\[\\]-]{1,200}$", name))
    ])
    error_message = "A name in databases has up to 200 characters that AWS accepts in the description of a rule."
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
  validation {
    condition = (
      length(distinct(var.endpoint.security_group_ids)) == length(var.endpoint.security_group_ids) &&
      length(distinct(var.endpoint.prefix_list_ids)) == length(var.endpoint.prefix_list_ids)
    )
    error_message = "A security group or prefix list of endpoint occurs twice."
  }
  validation {
    condition = length(setintersection(var.endpoint.security_group_ids, [
      for d in var.databases : d.security_group_id if d.port == 443
    ])) == 0
    error_message = "A database on port 443 and the endpoint have the same security group. Leave the database out."
  }
}

variable "manage_ingress_rules" {
  description = "Whether the module lets the function into the security groups of the databases and the endpoint."
  type        = bool
  default     = true
  nullable    = false
}

