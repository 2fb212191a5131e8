# Leases: whether they fit the schedules of the secrets and of the monitor. The function checks a cron schedule itself.

locals {
  seconds = { s = 1, m = 60, h = 3600, d = 86400 }

  # In hours. A value that is no period is refused where it is declared.
  leases = { for name, s in var.secrets : name => try(
    tonumber(regex("^[0-9]+", s.policy.lease)) * local.seconds[substr(s.policy.lease, -1, 1)] / 3600, null
  ) }
  overlaps = { for name, s in var.secrets : name => try(
    tonumber(regex("^[0-9]+", s.policy.overlap)) * local.seconds[substr(s.policy.overlap, -1, 1)] / 3600, null
  ) }
  # The interval of a rate, and the window in which a rotation begins.
  intervals = { for name, s in var.secrets : name => try(
    tonumber(regex("^rate\\(([0-9]+) hours?\\)$", s.schedule_expression)[0]),
    tonumber(regex("^rate\\(([0-9]+) days?\\)$", s.schedule_expression)[0]) * 24,
    null
  ) }
  windows = { for name, s in var.secrets : name => try(
    tonumber(trimsuffix(s.window, "h")), strcontains(s.schedule_expression, "hour") ? 1 : 24
  ) }
  shortest_leases = {
    for name, interval in local.intervals : name => try(interval * 5 / 4 + local.windows[name], null)
  }

  # The monitor renews these when a rotation is late. Others may end.
  renewed_policies = [
    for p in concat(values(var.secrets)[*].policy, values(var.policies)[*].policy) : p.lease
    if p.lease != null && p.on_overdue != "expire"
  ]
  renewed_leases = [for lease in local.renewed_policies : try(
    tonumber(regex("^[0-9]+", lease)) * local.seconds[substr(lease, -1, 1)] / 3600, 0
  )]
  monitor_fits_leases = length(local.renewed_leases) == 0 ? true : (
    var.monitor.enabled && local.monitor_interval <= min(local.renewed_leases...) / 4
  )
}
