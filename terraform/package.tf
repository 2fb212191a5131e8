# The function's code: a file or an object in S3, and its hash.

locals {
  # Lambda has the hash in base64, SHA256SUMS in hexadecimal: three digits there are two characters here.
  base64 = split("", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
  digits = var.package_sha256 == null ? [] : [
    for n in range(0, 64, 3) : parseint(substr("${var.package_sha256}00", n, 3), 16)
  ]
  expected_hash = var.package_sha256 == null ? null : "${substr(join("", flatten([
    for number in local.digits : [local.base64[floor(number / 64)], local.base64[number % 64]]
  ])), 0, 43)}="

  path         = var.package == null ? "" : var.package
  file_hash    = try(filesha256(local.path), "")
  package_hash = var.package == null ? local.expected_hash : try(filebase64sha256(local.path), null)

  # Of an object that was uploaded in parts, S3 has a hash of the parts' hashes.
  object_hash = one(data.aws_s3_object.package[*].checksum_sha256)
  known_hash  = can(regex("^[A-Za-z0-9+/]{43}=$", local.object_hash)) ? local.object_hash : local.expected_hash
}

data "aws_s3_object" "package" {
  count = var.package_s3 == null ? 0 : 1

  bucket        = var.package_s3.bucket
  key           = var.package_s3.key
  version_id    = var.package_s3.version
  checksum_mode = "ENABLED"
}

# The function's own attribute has the hash of the former code while an upgrade is planned.
data "aws_lambda_function" "deployed" {
  count = var.package_s3 == null ? 0 : 1

  function_name = aws_lambda_function.this.function_name
  depends_on    = [aws_lambda_function.this]

  lifecycle {
    postcondition {
      condition     = self.code_sha256 == local.expected_hash
      error_message = <<-EOT
        The function's code does not have the hash package_sha256, but ${self.code_sha256}.
        Correct package_s3. Then run terraform apply with -replace=<address of the module>.aws_lambda_function.this
      EOT
    }
  }
}
