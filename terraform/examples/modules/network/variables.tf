variable "name" {
  description = "The name of the VPC and the start of the other names."
  type        = string
}
