# The database; the defaults let the example be applied without one, and every rotation then says that it cannot be reached.
variable "host" {
  type    = string
  default = "shop.internal"
}

variable "port" {
  type    = number
  default = 5432
}

variable "dbname" {
  type    = string
  default = "shop"
}


variable "password" {
  description = "The password that the role has now; left out, a random one."
  type        = string
  default     = null
  ephemeral   = true
}

variable "rotate_immediately" {
  type    = bool
  default = false
}

variable "architecture" {
  type    = string
  default = "x86_64"
}
