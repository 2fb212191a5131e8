# What AWS would answer, where something depends on it.

mock_data "aws_partition" {
  defaults = { dns_suffix = "amazonaws.com" }
}

mock_data "aws_caller_identity" {
  defaults = { account_id = "111122223333" }
}

# Another account shares the subnet.
mock_data "aws_subnet" {
  defaults = { vpc_id = "vpc-1", arn = "arn:aws:ec2:eu-central-1:444455556666:subnet/subnet-1" }
}

# That of no bytes at all.
mock_data "aws_s3_object" {
  defaults = { checksum_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
}

mock_data "aws_lambda_function" {
  defaults = { code_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" }
}

mock_resource "aws_security_group" {
  defaults = { id = "sg-own" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::111122223333:role/rotation" }
}

mock_resource "aws_lambda_function" {
  defaults = { arn = "arn:aws:lambda:eu-central-1:111122223333:function:postgres-secret-rotation" }
}

mock_resource "aws_vpc_endpoint" {
  defaults = {
    dns_entry = [{ dns_name = "vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com", hosted_zone_id = "Z" }]
  }
}
