# The settings as variables: a task has no file that could be edited, and each change is a new revision of its
# definition. Lists and objects are JSON, which is YAML.
locals {
  work = "/var/lib/driftfleet"
  # These are variables as a whole; of all other sections each key is one.
  whole = ["repositories", "variants"]

  given = merge(
    { for section, value in var.settings : upper("DRIFTFLEET_${section}") => jsonencode(value) if contains(local.whole, section) && value != null },
    [
      for section, value in var.settings : {
        for key, inner in value :
        upper("DRIFTFLEET_${section}__${key}") => try(tostring(inner), jsonencode(inner)) if inner != null
      } if !contains(local.whole, section) && value != null
    ]...
  )

  # No installs.folder: by default it is in the writable root, and an image with versions in it (target with-terraform)
  # names its own.
  own = merge(
    {
      DRIFTFLEET_BROKER__URL              = local.redis_url
      DRIFTFLEET_RESULTS__STORE           = module.results.results_store
      DRIFTFLEET_GITHUB__URL              = var.github.url
      DRIFTFLEET_GITHUB__TOKEN            = "secretsmanager://${local.secret_arns.github}${local.token_key}"
      DRIFTFLEET_METRICS__CLOUDWATCH      = jsonencode({ namespace = local.namespace, dimensions = local.dimensions })
      DRIFTFLEET_WORKER__WRITABLE_ROOT    = local.work
      DRIFTFLEET_CACHE__FOLDER            = "${local.work}/cache"
      DRIFTFLEET_WORKER__CONCURRENCY      = tostring(var.worker.concurrency)
      DRIFTFLEET_WORKER__MIRROR           = var.mirror.folder
      DRIFTFLEET_WORKER__PLAN_ROLE        = local.plan_role_arn
      DRIFTFLEET_WORKER__PLAN_EXTERNAL_ID = var.name
    },
    contains(keys(local.secret_arns), "redis") ? { DRIFTFLEET_BROKER__PASSWORD = "secretsmanager://${local.secret_arns.redis}" } : {},
    var.mirror.sync_at == null ? {} : { DRIFTFLEET_MIRROR__SYNC_AT = var.mirror.sync_at },
    var.kms_key_arn == null ? {} : { DRIFTFLEET_RESULTS__S3 = jsonencode({ encryption = "aws:kms", kms_key = var.kms_key_arn }) },
  )

  of_flower = var.flower == null ? {} : {
    DRIFTFLEET_FLOWER__HOST     = "0.0.0.0"
    DRIFTFLEET_FLOWER__PORT     = "5555"
    DRIFTFLEET_FLOWER__PASSWORD = "secretsmanager://${local.secret_arns.flower}"
  }

  # The same for all, as the services want it; but who can't read a secret isn't told of it, or `doctor` would fail there.
  variables = {
    for role in keys(local.roles) : role => merge(
      local.given,
      local.own,
      role == "flower" ? local.of_flower : {},
      role == "worker" ? var.environment : {},
      { AWS_REGION = local.region, TMPDIR = local.work },
    )
  }

  taken = setintersection(keys(local.given), concat(keys(local.own), keys(local.of_flower)))

  # What a worker's disk has to hold: docs/operations.md, "Sizing".
  worker_disk_bytes = sum([
    var.worker.concurrency * try(var.settings.limits.workspace_bytes, 1073741824),
    try(var.settings.cache.limit_bytes, 4294967296),
    try(var.settings.installs.limit_bytes, 2147483648),
    try(var.settings.worker.min_free_bytes, 1073741824),
  ])
}
