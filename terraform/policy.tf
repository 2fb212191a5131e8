# ROTATION_POLICY, and the admin secrets that it names.

locals {
  entries = concat(values(var.secrets), values(var.policies))

  admins = concat(
    [for e in local.entries : { secret_arn = e.admin_secret_arn, kms_key_arn = e.admin_kms_key_arn }],
    var.trusted_admin_secrets,
  )
  admin_secrets = distinct(compact(local.admins[*].secret_arn))
  admin_by_key  = { for a in local.admins : a.kms_key_arn => a.secret_arn... if a.kms_key_arn != null }

  # The function rejects null.
  policies = { for name, e in merge({ for s in var.secrets : s.secret_arn => s }, var.policies) : name => {
    for field, value in merge({ strategy = e.strategy, admin_secret = e.admin_secret_arn }, e.policy) :
    field => value if value != null
  } }
  # An empty entry takes room, and would keep its secret from the entry of a prefix.
  rotation_policy = jsonencode(merge(
    { secrets = { for name, policy in local.policies : name => policy if length(policy) > 0 } },
    length(var.trusted_admin_secrets) > 0 ? { defaults = { trust_masterarn = true } } : {},
  ))
}
