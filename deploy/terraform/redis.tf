locals {
  redis_port   = var.redis == null ? 6379 : tonumber(try(regex(":([0-9]+)(?:/[0-9]+)?$", var.redis.url)[0], "6379"))
  redis_groups = var.redis == null ? aws_security_group.redis[*].id : var.redis.security_group_ids
  redis_url = var.redis != null ? var.redis.url : format(
    "rediss://%s@%s:%d/0",
    aws_elasticache_user.fleet[0].user_name,
    aws_elasticache_replication_group.redis[0].primary_endpoint_address,
    local.redis_port
  )

  # docs/redis.md, "Who may do what in Redis"; a test holds the two against each other. `info` is for
  # `driftfleet doctor`, `client|setinfo` is what clients say of themselves from 7.2 on.
  redis_access = join(" ", [
    "on ~driftfleet* ~unacked* ~_kombu.binding* ~celeryev.* resetchannels &/0.celeryev/* -@all",
    "+auth +hello +ping +select +time +multi +exec +discard +watch +unwatch +info +client|setinfo",
    "+evalsha +script|load +script|exists +publish +psubscribe +punsubscribe",
    "+get +set +mget +incr +decr +del +exists +type +expire +ttl +pttl +scan",
    "+lpush +rpush +lpop +brpop +llen +lindex +lrange +ltrim",
    "+hget +hset +hdel +hgetall +hvals +hlen +hscan",
    "+sadd +srem +smembers +sismember +scard",
    "+zadd +zrem +zrange +zrangebyscore +zremrangebyscore +zscore +zcard",
  ])
}

resource "aws_security_group" "redis" {
  count = var.redis == null ? 1 : 0

  name        = "${var.name}-redis"
  description = "Redis of the fleet ${var.name}"
  vpc_id      = var.vpc_id
  tags        = merge(var.tags, { Name = "${var.name}-redis" })
}

resource "aws_vpc_security_group_ingress_rule" "redis" {
  count = var.redis == null ? 1 : 0

  security_group_id            = aws_security_group.redis[0].id
  description                  = "The fleet's tasks, and nobody else"
  ip_protocol                  = "tcp"
  from_port                    = local.redis_port
  to_port                      = local.redis_port
  referenced_security_group_id = aws_security_group.tasks.id
}

resource "aws_elasticache_subnet_group" "redis" {
  count = var.redis == null ? 1 : 0

  name       = var.name
  subnet_ids = coalesce(var.elasticache.subnet_ids, var.subnet_ids)
  tags       = var.tags
}

resource "aws_elasticache_parameter_group" "redis" {
  count = var.redis == null ? 1 : 0

  name        = "${var.name}-valkey${split(".", var.elasticache.engine_version)[0]}"
  family      = "valkey${split(".", var.elasticache.engine_version)[0]}"
  description = "A queue forgets nothing"
  tags        = var.tags

  parameter {
    name  = "maxmemory-policy"
    value = "noeviction"
  }

  lifecycle {
    create_before_destroy = true
  }
}

# ElastiCache makes no user without a password, and the provider has no way to give one that isn't kept in the state.
# This one is good until the fleet's own is set, without which nothing starts (README.md).
data "aws_secretsmanager_random_password" "first" {
  count = var.redis == null ? 1 : 0

  password_length     = 64
  exclude_punctuation = true
}

resource "aws_elasticache_user" "fleet" {
  count = var.redis == null ? 1 : 0

  user_id       = var.name
  user_name     = var.name
  engine        = "valkey"
  access_string = local.redis_access
  tags          = var.tags

  authentication_mode {
    type      = "password"
    passwords = [data.aws_secretsmanager_random_password.first[0].random_password]
  }

  lifecycle {
    ignore_changes = [authentication_mode]
  }
}

resource "aws_elasticache_user_group" "fleet" {
  count = var.redis == null ? 1 : 0

  user_group_id = var.name
  engine        = "valkey"
  user_ids      = [aws_elasticache_user.fleet[0].user_id]
  tags          = var.tags
}

# One keyspace: the fleet's scripts take keys that a cluster would spread.
resource "aws_elasticache_replication_group" "redis" {
  count = var.redis == null ? 1 : 0

  replication_group_id       = var.name
  description                = "Queue and ledger of the fleet ${var.name}"
  engine                     = "valkey"
  engine_version             = var.elasticache.engine_version
  node_type                  = var.elasticache.node_type
  port                       = local.redis_port
  num_cache_clusters         = var.elasticache.multi_az ? 2 : 1
  automatic_failover_enabled = var.elasticache.multi_az
  multi_az_enabled           = var.elasticache.multi_az
  parameter_group_name       = aws_elasticache_parameter_group.redis[0].name
  subnet_group_name          = aws_elasticache_subnet_group.redis[0].name
  security_group_ids         = [aws_security_group.redis[0].id]
  user_group_ids             = [aws_elasticache_user_group.fleet[0].user_group_id]
  transit_encryption_enabled = true
  at_rest_encryption_enabled = true
  kms_key_id                 = var.kms_key_arn
  maintenance_window         = var.elasticache.maintenance_window
  # A larger node is wanted when it is applied, and not on Sunday: a full Redis takes no check.
  apply_immediately = true
  # What is lost is asked for again from the store: docs/operations.md.
  snapshot_retention_limit = 0
  tags                     = var.tags
}
