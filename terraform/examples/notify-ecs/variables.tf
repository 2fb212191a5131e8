variable "cluster" {
  description = "The ECS cluster of the service."
  type        = string
  default     = "shop"
}

variable "service" {
  description = "The ECS service that reads the secret only when a task starts."
  type        = string
  default     = "orders"
}

variable "host" {
  description = "The host of the database. With the default, every rotation reports that it cannot reach it."
  type        = string
  default     = "shop.internal"
}

variable "port" {
  description = "The port of the database."
  type        = number
  default     = 5432
}

variable "dbname" {
  description = "The database that the role uses."
  type        = string
  default     = "shop"
}

variable "username" {
  description = "The role whose password rotates."
  type        = string
  default     = "app"
}

variable "password" {
  description = "The role's present password. Default: a random one."
  type        = string
  default     = null
  ephemeral   = true
}

variable "rotate_immediately" {
  description = "Whether the apply also starts a rotation."
  type        = bool
  default     = false
}

variable "package" {
  description = "The path of the function's zip file. Default: what `make package` builds."
  type        = string
  default     = "../../../target/lambda/postgres-secret-rotation/bootstrap.zip"
}

variable "architecture" {
  description = "The architecture of the package: `x86_64` or `arm64`."
  type        = string
  default     = "x86_64"
}
