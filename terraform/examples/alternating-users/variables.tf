variable "host" {
  description = "Left out, the instance that the example makes."
  type        = string
  default     = null
}

variable "port" {
  type    = number
  default = 5432
}

variable "dbname" {
  type    = string
  default = "shop"
}

variable "username" {
  type    = string
  default = "app"
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
