# Which targets are told of a rotation, and what each of them allows.

mock_provider "aws" {
  source = "./tests/mocks"

  mock_resource "aws_cloudwatch_event_rule" {
    defaults = { arn = "arn:aws:events:eu-central-1:111122223333:rule/notify" }
  }

  mock_resource "aws_sqs_queue" {
    defaults = { arn = "arn:aws:sqs:eu-central-1:111122223333:undelivered" }
  }
}

variables {
  package    = "./versions.tf"
  subnet_ids = ["subnet-1"]
  databases  = { shop = { security_group_id = "sg-database" } }
  endpoint   = { security_group_ids = ["sg-endpoint"] }
  secrets = {
    app     = { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app-AbCdEf" }
    reports = { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/reports-AbCdEf" }
  }
  notify = {
    topic   = { type = "sns", arn = "arn:aws:sns:eu-central-1:111122223333:rotations", write_policy = true }
    queue   = { type = "sqs", arn = "arn:aws:sqs:eu-central-1:111122223333:rotations", write_policy = true, secrets = ["app"] }
    shared  = { type = "sqs", arn = "arn:aws:sqs:eu-central-1:111122223333:shared", write_policy = false }
    handler = { type = "lambda", arn = "arn:aws:lambda:eu-central-1:111122223333:function:handler:live" }
    restart = { type = "other", arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:restart", role_arn = "arn:aws:iam::111122223333:role/start" }
  }
}

run "without_notify_there_is_no_rule" {
  command = apply

  variables {
    notify = {}
  }

  assert {
    condition     = length(aws_cloudwatch_event_rule.notify) == 0 && length(aws_sqs_queue.undelivered) == 0 && output.undelivered_queue_arn == null
    error_message = "There is a rule or a queue although notify is empty."
  }
}

run "a_rule_matches_current_of_these_secrets_alone" {
  command = apply

  assert {
    condition = { for key, rule in aws_cloudwatch_event_rule.notify : key => [for arn in jsondecode(rule.event_pattern).resources : split(":", arn)[6]] } == {
      topic-0   = ["shop/app-AbCdEf", "shop/reports-AbCdEf"], queue-0 = ["shop/app-AbCdEf"], shared-0 = ["shop/app-AbCdEf", "shop/reports-AbCdEf"]
      handler-0 = ["shop/app-AbCdEf", "shop/reports-AbCdEf"], restart-0 = ["shop/app-AbCdEf", "shop/reports-AbCdEf"]
    }
    error_message = "A rule matches other secrets than those it is for."
  }
  assert {
    condition = alltrue([for rule in aws_cloudwatch_event_rule.notify : {
      for key, value in jsondecode(rule.event_pattern) : key => value if key != "resources"
    } == { source = ["aws.secretsmanager"], detail-type = ["Secret Label Updated"], detail = { labelUpdated = ["AWSCURRENT"] } }])
    error_message = "A rule matches other events than that AWSCURRENT has moved."
  }
  assert {
    condition = { for key, target in aws_cloudwatch_event_target.notify : key => [target.arn, target.role_arn] } == {
      for name, target in var.notify : "${name}-0" => [target.arn, target.role_arn]
    }
    error_message = "A rule has another target, or another role."
  }
}

run "what_is_not_delivered_is_tried_again_and_kept" {
  command = apply

  variables {
    alarm_actions = ["arn:aws:sns:eu-central-1:111122223333:alarms"]
  }

  assert {
    condition = alltrue([for target in aws_cloudwatch_event_target.notify :
      target.retry_policy[0].maximum_retry_attempts == 185 && target.dead_letter_config[0].arn == aws_sqs_queue.undelivered[0].arn
    ])
    error_message = "A target has no retries, or another dead-letter queue."
  }
  assert {
    condition = jsondecode(aws_sqs_queue_policy.undelivered[0].policy).Statement == [{
      Sid       = "DeadLetters", Effect = "Allow", Action = "sqs:SendMessage", Resource = aws_sqs_queue.undelivered[0].arn
      Principal = { Service = "events.amazonaws.com" }
      Condition = { ArnEquals = { "aws:SourceArn" = [for name in ["handler-0", "queue-0", "restart-0", "shared-0", "topic-0"] : aws_cloudwatch_event_rule.notify[name].arn] } }
    }]
    error_message = "Others than these rules may send to the dead-letter queue: ${aws_sqs_queue_policy.undelivered[0].policy}"
  }
  assert {
    condition     = aws_sqs_queue.undelivered[0].sqs_managed_sse_enabled && aws_cloudwatch_metric_alarm.undelivered[0].dimensions.QueueName == aws_sqs_queue.undelivered[0].name
    error_message = "The queue is not encrypted, or not watched."
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.undelivered[0].alarm_actions == toset(["arn:aws:sns:eu-central-1:111122223333:alarms"])
    error_message = "The alarm has other actions."
  }
}

run "each_target_allows_its_rule_alone" {
  command = apply

  assert {
    condition = [for p in aws_lambda_permission.notify : [p.function_name, p.qualifier, p.principal, p.action, p.source_account, p.source_arn]] == [
      ["handler", "live", "events.amazonaws.com", "lambda:InvokeFunction", "111122223333", aws_cloudwatch_event_rule.notify["handler-0"].arn]
    ]
    error_message = "The function lets in something other than its rule."
  }
  assert {
    condition = jsondecode(aws_sns_topic_policy.notify["topic"].policy).Statement == [{
      Sid       = "RotationNotifies", Effect = "Allow", Action = "sns:Publish", Resource = "arn:aws:sns:eu-central-1:111122223333:rotations"
      Principal = { Service = "events.amazonaws.com" }, Condition = { ArnEquals = { "aws:SourceArn" = [aws_cloudwatch_event_rule.notify["topic-0"].arn] } }
    }]
    error_message = "The topic's policy is another: ${aws_sns_topic_policy.notify["topic"].policy}"
  }
  assert {
    condition     = { for name, p in aws_sqs_queue_policy.notify : name => p.queue_url } == { queue = "https://sqs.eu-central-1.amazonaws.com/111122223333/rotations" }
    error_message = "The policy of another queue is written."
  }
  assert {
    condition     = jsondecode(aws_sqs_queue_policy.notify["queue"].policy).Statement == [jsondecode(output.notify_policies.queue)] && jsondecode(output.notify_policies.queue).Action == "sqs:SendMessage"
    error_message = "The queue's policy is another: ${aws_sqs_queue_policy.notify["queue"].policy}"
  }
  assert {
    condition     = join(" ", keys(output.notify_policies)) == "queue shared topic"
    error_message = "A topic or a queue has no statement to add."
  }
}

run "many_secrets_have_several_rules" {
  command = apply

  variables {
    secrets = { for n in range(20) : "app${n}" => { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/app${n}-AbCdEf" } }
    notify  = { topic = { type = "sns", arn = "arn:aws:sns:eu-central-1:111122223333:rotations", write_policy = true } }
  }

  assert {
    condition     = join(" ", keys(aws_cloudwatch_event_rule.notify)) == "topic-0 topic-1 topic-2" && length(jsondecode(output.notify_policies.topic).Condition.ArnEquals["aws:SourceArn"]) == 3
    error_message = "A pattern would be too long, or a rule may not publish."
  }
}

run "refuses_a_topic_without_write_policy" {
  command         = plan
  expect_failures = [var.notify]

  variables {
    notify = { topic = { type = "sns", arn = "arn:aws:sns:eu-central-1:111122223333:rotations" } }
  }
}

run "refuses_another_service" {
  command         = plan
  expect_failures = [var.notify]

  variables {
    notify = { topic = { type = "sqs", arn = "arn:aws:sns:eu-central-1:111122223333:rotations", write_policy = true } }
  }
}

run "refuses_another_type" {
  command         = plan
  expect_failures = [var.notify]

  variables {
    notify = { topic = { type = "ecs", arn = "arn:aws:ecs:eu-central-1:111122223333:cluster/shop" } }
  }
}

run "refuses_a_target_without_a_role" {
  command         = plan
  expect_failures = [var.notify]

  variables {
    notify = { restart = { type = "other", arn = "arn:aws:states:eu-central-1:111122223333:stateMachine:restart" } }
  }
}

run "refuses_a_long_name" {
  command         = plan
  expect_failures = [var.notify]

  variables {
    notify = { a-name-of-many-more-characters = { type = "lambda", arn = "arn:aws:lambda:eu-central-1:111122223333:function:handler" } }
  }
}

run "refuses_no_secret_at_all" {
  command         = plan
  expect_failures = [var.notify]

  variables {
    notify = { handler = { type = "lambda", arn = "arn:aws:lambda:eu-central-1:111122223333:function:handler", secrets = [] } }
  }
}

run "refuses_a_pattern_that_is_too_long" {
  command         = plan
  expect_failures = [aws_cloudwatch_event_rule.notify]

  variables {
    secrets = { for n in range(8) : "app${n}" => { secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:${join("/", [for _ in range(30) : "long/name"])}${n}-AbCdEf" } }
    notify  = { handler = { type = "lambda", arn = "arn:aws:lambda:eu-central-1:111122223333:function:handler" } }
  }
}

run "all_secrets_below_a_prefix_and_hundreds_of_listed_ones" {
  command = apply

  variables {
    secrets = { for i in range(50) : "s${i}" => {
      secret_arn = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/${i}-AbCdEf"
    } }
    secret_prefixes = ["prod/postgres/"]
    notify = {
      all  = { type = "lambda", arn = "arn:aws:lambda:eu-central-1:111122223333:function:handler" }
      some = { type = "lambda", arn = "arn:aws:lambda:eu-central-1:111122223333:function:handler", secrets = ["s1"] }
    }
  }

  assert {
    condition = {
      for key, rule in aws_cloudwatch_event_rule.notify : key => jsonencode(jsondecode(rule.event_pattern).resources)
      } == {
      all-p0 = jsonencode([
        { prefix = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/" },
        { prefix = "arn:aws:secretsmanager:eu-central-1:111122223333:secret:prod/postgres/" },
      ])
      some-0 = jsonencode(["arn:aws:secretsmanager:eu-central-1:111122223333:secret:shop/1-AbCdEf"])
    }
    error_message = "A rule matches other secrets: ${jsonencode(values(aws_cloudwatch_event_rule.notify)[*].event_pattern)}"
  }
}

run "a_rotation_that_failed_is_told_by_cloudtrail" {
  command = apply

  variables {
    notify = { pager = {
      type = "sns", arn = "arn:aws:sns:eu-central-1:111122223333:pager", write_policy = true, on = "failed"
    } }
  }

  assert {
    condition = jsondecode(aws_cloudwatch_event_rule.notify["pager-0"].event_pattern) == {
      source      = ["aws.secretsmanager"]
      detail-type = ["AWS Service Event via CloudTrail"]
      detail = {
        eventName           = ["RotationFailed", "RotationAbandoned"]
        additionalEventData = { SecretId = [for s in var.secrets : s.secret_arn] }
      }
    }
    error_message = "The rule is ${aws_cloudwatch_event_rule.notify["pager-0"].event_pattern}"
  }
}

run "an_event_that_there_is_not" {
  command = plan
  variables {
    notify = { pager = {
      type = "sns", arn = "arn:aws:sns:eu-central-1:111122223333:pager", write_policy = true, on = "never"
    } }
  }
  expect_failures = [var.notify]
}
