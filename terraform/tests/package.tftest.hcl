# Where the function's code comes from, and that it is the code whose hash is given.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  # Of no bytes at all, as the mocked object in S3 and the mocked function have it.
  empty      = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  other      = "f3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  subnet_ids = ["subnet-1"]
  databases  = { app = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
  secrets    = { app = { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:app-AbCdEf" } }
}

# First, since the hash of a function that exists already is compared in the plan.
run "an_object_without_a_checksum_but_other_code" {
  command = apply
  variables {
    package_s3     = { bucket = "packages", key = "rotation.zip" }
    package_sha256 = var.other
  }
  override_data {
    target = data.aws_s3_object.package
    values = { checksum_sha256 = "" }
  }
  expect_failures = [data.aws_lambda_function.deployed]
}

run "a_file" {
  command = plan
  variables {
    package = "./versions.tf"
  }
  assert {
    condition = (
      aws_lambda_function.this.filename == "./versions.tf" &&
      aws_lambda_function.this.source_code_hash == filebase64sha256("./versions.tf")
    )
    error_message = "The function has another file or hash."
  }
}

run "a_file_with_its_hash" {
  command = plan
  variables {
    package        = "./versions.tf"
    package_sha256 = filesha256("./versions.tf")
  }
  assert {
    condition     = local.expected_hash == filebase64sha256("./versions.tf")
    error_message = "${local.expected_hash} is not the hash in base64."
  }
}

run "an_object_in_s3" {
  command = apply
  variables {
    package_s3     = { bucket = "packages", key = "rotation.zip", version = "v1" }
    package_sha256 = var.empty
  }
  assert {
    condition = [
      aws_lambda_function.this.s3_bucket, aws_lambda_function.this.s3_key, aws_lambda_function.this.s3_object_version
    ] == ["packages", "rotation.zip", "v1"] && aws_lambda_function.this.filename == null
    error_message = "The function has another object."
  }
  assert {
    condition     = aws_lambda_function.this.source_code_hash == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    error_message = "The function has another hash."
  }
}

run "no_package" {
  command         = plan
  expect_failures = [aws_lambda_function.this]
}

run "two_packages" {
  command = plan
  variables {
    package        = "./versions.tf"
    package_s3     = { bucket = "packages", key = "rotation.zip" }
    package_sha256 = var.empty
  }
  expect_failures = [aws_lambda_function.this]
}

run "a_file_that_does_not_exist" {
  command = plan
  variables {
    package = "./nowhere.zip"
  }
  expect_failures = [aws_lambda_function.this]
}

run "a_file_with_another_hash" {
  command = plan
  variables {
    package        = "./versions.tf"
    package_sha256 = var.empty
  }
  expect_failures = [aws_lambda_function.this]
}

run "an_object_without_a_hash_to_compare" {
  command = plan
  variables {
    package_s3 = { bucket = "packages", key = "rotation.zip" }
  }
  expect_failures = [aws_lambda_function.this]
}

run "an_object_with_another_checksum" {
  command = plan
  variables {
    package_s3     = { bucket = "packages", key = "rotation.zip" }
    package_sha256 = var.other
  }
  expect_failures = [aws_lambda_function.this]
}

run "an_object_with_a_checksum_of_parts_and_its_hash" {
  command = apply
  variables {
    package_s3     = { bucket = "packages", key = "rotation.zip" }
    package_sha256 = var.empty
  }
  override_data {
    target = data.aws_s3_object.package
    values = { checksum_sha256 = "R0dEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=-2" }
  }
  assert {
    condition     = data.aws_lambda_function.deployed[0].code_sha256 == local.expected_hash
    error_message = "The function has another hash."
  }
}

run "a_hash_in_base64" {
  command = plan
  variables {
    package        = "./versions.tf"
    package_sha256 = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
  }
  expect_failures = [var.package_sha256]
}
