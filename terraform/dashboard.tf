# What a person looks at: what is wrong now, how old the passwords are, and what was rotated.

locals {
  dashboard_own = { region = local.region, view = "timeSeries", period = 86400, stat = "Sum" }
  # The colours say how bad a state is.
  dashboard_colours = merge({ ok = "#2ca02c" }, zipmap(local.worst_first, [
    "#b0084d", "#d13212", "#e07941", "#f0a35e", "#8c564b", "#dbb13b", "#7f7f7f", "#b5b5b5", "#c5b0d5",
  ]))
  dashboard_steps = ["createSecret", "setSecret", "testSecret", "finishSecret", "rotate"]
  dashboard_outcomes = {
    succeeded = { metric = "RotationsSucceeded", colour = "#2ca02c" }
    failed    = { metric = "RotationsFailed", colour = "#d13212" }
  }
  dashboard_query = "SOURCE '${local.log_group}' | "

  # Each row: its height, and for each widget its width, type and properties.
  dashboard_rows = [
    [3, [[24, "alarm", {
      title  = "Alarms of ${var.name}", region = local.region
      alarms = [for alarm in aws_cloudwatch_metric_alarm.this : alarm.arn]
    }]]],
    [7, [
      [16, "log", {
        title = "Not in order, worst first (last ${local.monitor_hours} hours)", region = local.region, view = "table"
        query = join(" ", [
          local.dashboard_query, "filter ispresent(`monitor.state`)",
          "and toMillis(@timestamp) > (now() - ${local.monitor_hours * 3600}) * 1000",
          "| fields `secret.name` as secret, substr(timestamp, 0, 16) as time, ${join(" + ", [
            for n, state in reverse(local.worst_first) : "strcontains('${state}', `monitor.state`) * ${n}"
          ])} as severity, coalesce(`monitor.command`, message) as advice",
          "| stats latest(severity) as rank, latest(`monitor.state`) as state, latest(`monitor.since`) as since,",
          "latest(time) as seen, latest(advice) as to_do by secret",
          "| sort rank desc, since | limit 50",
        ])
      }],
      [8, "metric", merge(local.dashboard_own, {
        # Each part of a look writes its own numbers.
        title = join("", [
          "Secrets by state", local.monitor_parts > 1 ? ", in the worst of ${local.monitor_parts} parts" : "",
        ])
        stacked = true
        legend  = { position = "right" }
        metrics = [for state in concat(local.worst_first, ["ok"]) : [
          local.namespace, join("", [for word in split("_", state) : title(word)]), "FunctionName", var.name,
          # A secret that was put right the same day counts once.
          {
            label = replace(state, "_", " "), color = local.dashboard_colours[state]
            stat  = state == "ok" ? "Minimum" : "Maximum"
          },
        ]]
      })],
    ]],
    [6, [
      [8, "metric", merge(local.dashboard_own, {
        title       = "Oldest password, in days", stat = "Maximum"
        metrics     = [[local.namespace, "OldestAgeDays", "FunctionName", var.name, { label = "oldest password" }]]
        yAxis       = { left = { min = 0, label = "days", showUnits = false } }
        annotations = { horizontal = [{ label = "30 days", value = 30 }] }
      })],
      [8, "metric", merge(local.dashboard_own, {
        title = "Shortest time left", stat = "Minimum"
        metrics = [
          [local.namespace, "CertificateDaysLeft", "FunctionName", var.name, { label = "a certificate, in days" }],
          [local.namespace, "LeaseLeftHours", "FunctionName", var.name, {
            label = "a password, in hours", yAxis = "right"
          }],
        ]
        yAxis = {
          left = { min = 0, label = "days", showUnits = false }, right = { min = 0, label = "hours", showUnits = false }
        }
        annotations = { horizontal = [{ label = "alarm: 30 days", value = 30 }] }
      })],
      [8, "metric", merge(local.dashboard_own, {
        title = "Rotations by outcome"
        # A day without a rotation has no data.
        metrics = concat([for name, outcome in local.dashboard_outcomes : [
          [local.namespace, outcome.metric, "FunctionName", var.name, { id = name, visible = false }],
          [{ expression = "FILL(${name}, 0)", label = name, color = outcome.colour }],
        ]]...)
      })],
    ]],
    [6, [
      [12, "metric", merge(local.dashboard_own, {
        title = "Duration by step, in milliseconds", stat = "p95"
        metrics = [for step in local.dashboard_steps : [
          local.namespace, "Duration", "FunctionName", var.name, "Step", step, { label = step }
        ]]
        yAxis = { left = { min = 0, label = "ms", showUnits = false } }
      })],
      [12, "metric", merge(local.dashboard_own, {
        title = "Failures by kind"
        metrics = [[{ id = "kinds", label = "", expression = join("", [
          "FILL(SEARCH('{${local.namespace},ErrorKind,FunctionName} MetricName=\"Failures\" FunctionName=\"${var.name}\"', ",
          "'Sum', 86400), 0)",
        ]) }]]
      })],
    ]],
    [9, [[24, "log", {
      title = "Activity: what was rotated, when, by which door, with which outcome", region = local.region, view = "table"
      query = join(" ", [
        local.dashboard_query, "filter `event.name` = 'rotation_finished'",
        "or (level = 'ERROR' and ispresent(`error.kind`))",
        "| fields coalesce(`error.kind`, 'succeeded') as outcome, `secret.name` as secret,",
        "coalesce(`rotation.door`, `rotation.step`, operation) as door,",
        "substr(`secret.old_version_id`, 0, 8) as old, substr(`secret.version_id`, 0, 8) as new,",
        "`evidence.old` as old_is, `evidence.old_sessions` as old_sessions",
        "| display @timestamp, outcome, secret, door, old, new, old_is, old_sessions, duration_ms",
        "| sort @timestamp desc | limit 100",
      ])
    }]]],
  ]

  dashboard_widgets = flatten([for n, row in local.dashboard_rows : [for m, widget in row[1] : {
    type       = widget[1]
    x          = sum(concat([0], [for left in slice(row[1], 0, m) : left[0]]))
    y          = sum(concat([0], [for above in slice(local.dashboard_rows, 0, n) : above[0]]))
    width      = widget[0]
    height     = row[0]
    properties = widget[2]
  }]])
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.monitor.enabled && var.monitor.dashboard ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({ start = "-P30D", widgets = local.dashboard_widgets })
}
