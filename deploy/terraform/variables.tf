variable "name" {
  description = "Name of the fleet: the beginning of all other names, and the dimension `fleet` of its metrics."
  type        = string
  default     = "driftfleet"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,19}$", var.name)) && !endswith(var.name, "-") && !strcontains(var.name, "--")
    error_message = "The name must be 2 to 20 small letters, digits or single '-', begin with a letter and not end with '-': ElastiCache takes no other."
  }
}

variable "tags" {
  description = "Tags of everything that takes some."
  type        = map(string)
  default     = {}
}

variable "vpc_id" {
  description = "The VPC that the fleet runs in."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets of it, with a way out: to GitHub, to AWS' APIs, and to what plans ask."
  type        = list(string)

  validation {
    condition     = length(var.subnet_ids) > 0
    error_message = "At least one subnet; two, in two zones, outlive one of them."
  }
}

variable "egress" {
  description = "Where tasks may connect to besides Redis and the file system: TCP ports and blocks of addresses."
  type = list(object({
    port        = number
    cidr_blocks = list(string)
  }))
  default = [{ port = 443, cidr_blocks = ["0.0.0.0/0"] }]
}

variable "image" {
  description = "The fleet's image, by digest or by a tag that never moves."
  type        = string

  validation {
    condition     = !endswith(var.image, ":latest")
    error_message = "A tag that moves makes tasks of one service different ones: name a digest, or a version."
  }
}

variable "images" {
  description = "Another image for single roles (beat, producer, worker, flower): for upgrades by hand, see README.md."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setsubtract(keys(var.images), ["beat", "producer", "worker", "flower"])) == 0
    error_message = "Roles are beat, producer, worker and flower."
  }
}

variable "architecture" {
  description = "The image's: X86_64 or ARM64. Providers in the mirror are for one of them."
  type        = string
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.architecture)
    error_message = "Fargate has X86_64 and ARM64."
  }
}

variable "running" {
  description = "Whether the fleet runs. False for the first apply, before its secrets have values, and to stop it."
  type        = bool
  default     = true
}

variable "wait_for_steady_state" {
  description = "Whether an apply waits until the workers run before it goes on to the producer, and so on."
  type        = bool
  default     = true
}

# Objects where something is left out or given: what they hold may be of resources that are made in the same apply.
variable "cluster" {
  description = "An ECS cluster with the capacity providers FARGATE and FARGATE_SPOT; by default one is made."
  type        = object({ arn = string, name = string })
  default     = null
}

variable "container_insights" {
  description = "Container Insights of the cluster that is made. It costs extra, and no alarm here needs it."
  type        = bool
  default     = false
}

variable "github" {
  description = "The GitHub server, and the secret with the token; by default one is made, without a value. `key`: the token's, where the secret is JSON."
  type = object({
    url          = string
    token_secret = optional(object({ arn = string, key = optional(string, "") }))
  })

  validation {
    condition     = startswith(var.github.url, "https://")
    error_message = "github.url is https://HOST, as a browser shows it."
  }
}

variable "settings" {
  description = "fleet.yaml's sections, less what this module sets itself: {repositories = [...], schedule = {every = \"6h\"}}. Never a secret."
  type        = any
  default     = {}

  validation {
    condition     = can(keys(var.settings))
    error_message = "Settings are an object of sections, as fleet.yaml is: yamldecode(file(\"fleet.yaml\")) is one."
  }
}

variable "environment" {
  description = "More variables of the workers, for the plans' providers (TF_VAR_..., HTTPS_PROXY). Never a secret."
  type        = map(string)
  default     = {}

  validation {
    condition     = !anytrue([for name in keys(var.environment) : startswith(name, "DRIFTFLEET_")])
    error_message = "What is DRIFTFLEET_... belongs into settings."
  }
}

variable "worker" {
  description = "Workers: CPU units and MiB of memory (a pair that Fargate has), GiB of disk, plans at once, how many workers, and which share of them runs on Spot."
  type = object({
    cpu          = optional(number, 2048)
    memory       = optional(number, 8192)
    disk_gib     = optional(number, 30)
    concurrency  = optional(number, 4)
    min          = optional(number, 1)
    max          = optional(number, 10)
    spot_percent = optional(number, 0)
  })
  default = {}

  validation {
    condition     = var.worker.disk_gib >= 21 && var.worker.disk_gib <= 200 && floor(var.worker.disk_gib) == var.worker.disk_gib
    error_message = "worker.disk_gib is a whole number from 21 to 200: Fargate has no other."
  }

  validation {
    condition     = var.worker.min >= 1 && var.worker.max >= var.worker.min
    error_message = "worker.min is 1 at least, for the heartbeat goes through a worker, and worker.max no less than that."
  }

  validation {
    condition     = var.worker.concurrency >= 1 && floor(var.worker.concurrency) == var.worker.concurrency
    error_message = "worker.concurrency is a whole number, 1 at least."
  }

  validation {
    condition     = var.worker.spot_percent >= 0 && var.worker.spot_percent <= 100 && floor(var.worker.spot_percent) == var.worker.spot_percent
    error_message = "worker.spot_percent is a whole number from 0 to 100."
  }
}

variable "scaling" {
  description = "When there are more workers: so many checks that wait or run for each worker, or so much of their memory in use, in percent; and for how long there is no other change after one, in seconds."
  type = object({
    checks_per_worker  = optional(number, 20)
    memory_percent     = optional(number, 75)
    scale_out_cooldown = optional(number, 120)
    scale_in_cooldown  = optional(number, 900)
  })
  default = {}

  validation {
    condition     = var.scaling.checks_per_worker > 0 && var.scaling.memory_percent > 0 && var.scaling.memory_percent <= 100
    error_message = "scaling.checks_per_worker is more than 0, scaling.memory_percent more than 0 and 100 at most."
  }
}

variable "beat" {
  description = "CPU units, MiB of memory and number of beats; two do no harm."
  type = object({
    cpu    = optional(number, 256)
    memory = optional(number, 512)
    count  = optional(number, 1)
  })
  default = {}

  validation {
    condition     = contains([1, 2], var.beat.count)
    error_message = "beat.count is 1 or 2; nothing gets better by more."
  }
}

variable "producer" {
  description = "CPU units, MiB of memory, GiB of disk and number of producers."
  type = object({
    cpu      = optional(number, 512)
    memory   = optional(number, 1024)
    disk_gib = optional(number, 21)
    count    = optional(number, 1)
  })
  default = {}

  validation {
    condition     = var.producer.count >= 1 && var.producer.disk_gib >= 21 && var.producer.disk_gib <= 200
    error_message = "producer.count is 1 at least, producer.disk_gib from 21 to 200."
  }
}

variable "flower" {
  description = "Flower, where you want it: whose security groups may reach its port 5555, a load balancer's target group (of type ip), and the secret that holds the password; by default one is made, without a value."
  type = object({
    cpu                = optional(number, 256)
    memory             = optional(number, 512)
    security_group_ids = optional(list(string), [])
    target_group_arn   = optional(string)
    password_secret    = optional(object({ arn = string }))
  })
  default = null
}

variable "redis" {
  description = "An own Redis instead of ElastiCache: its URL without a password, the secret that holds the password, and where it is: security groups, or blocks of addresses."
  type = object({
    url                = string
    password_secret    = optional(object({ arn = string }))
    security_group_ids = optional(list(string), [])
    cidr_blocks        = optional(list(string), [])
  })
  default = null

  validation {
    condition     = var.redis == null || can(regex("^rediss?://([A-Za-z0-9_.-]+@)?[A-Za-z0-9.-]+(:[0-9]+)?(/[0-9]+)?$", var.redis.url))
    error_message = "redis.url is rediss://USER@HOST:PORT/NUMBER, without a password: that is in a secret."
  }
}

variable "elasticache" {
  description = "The ElastiCache for Valkey that is made without var.redis. `multi_az` has a second node that takes over."
  type = object({
    node_type          = optional(string, "cache.t4g.small")
    engine_version     = optional(string, "7.2")
    multi_az           = optional(bool, false)
    subnet_ids         = optional(list(string))
    maintenance_window = optional(string, "sun:03:00-sun:04:00")
  })
  default = {}

  validation {
    condition     = can(regex("^[78]\\.[0-9]+$", var.elasticache.engine_version))
    error_message = "elasticache.engine_version is one of Valkey, such as 7.2 or 8.0."
  }
}

variable "results" {
  description = "The bucket that is made for results: its name, where in it they are, and how long history is kept (deploy/results-bucket)."
  type = object({
    bucket          = string
    prefix          = optional(string, "")
    history_days    = optional(number, 90)
    noncurrent_days = optional(number, 7)
  })
}

variable "mirror" {
  description = "The provider mirror: a folder of the image, or of an EFS access point that is mounted at the folder above it (a sync works beside the mirror). With `sync_at` (crontab, UTC) the producer fills it."
  type = object({
    folder  = optional(string, "/srv/mirror/providers")
    sync_at = optional(string)
    file_system = optional(object({
      id                = string
      access_point_id   = string
      security_group_id = string
    }))
  })
  default = {}

  validation {
    condition     = can(regex("^(/[A-Za-z0-9._-]+){2,}$", var.mirror.folder))
    error_message = "mirror.folder is a folder in a folder, such as /srv/mirror/providers: what is mounted is the upper one."
  }

  validation {
    condition     = var.mirror.sync_at == null || var.mirror.file_system != null
    error_message = "mirror.sync_at wants a file system: an image can't be written to."
  }
}

variable "plan_policy_arns" {
  description = "What plans may read; by default AWS' own ReadOnlyAccess, which reads data as well: see README.md."
  type        = list(string)
  default     = null
}

variable "plan_assume_role_arns" {
  description = "Roles that the roots' own providers and backends assume, in other accounts mostly."
  type        = list(string)
  default     = []

  validation {
    condition     = !contains(var.plan_assume_role_arns, "*")
    error_message = "Name the roles: with '*' a plan could be anybody."
  }
}

variable "kms_key_arn" {
  description = "A KMS key of yours for results, secrets, logs and Redis' disk; its policy has to allow them. Default: AWS' own."
  type        = string
  default     = null
}

variable "secret_recovery_days" {
  description = "How long a secret that was removed can be brought back: 7 to 30, or 0 for not at all."
  type        = number
  default     = 7

  validation {
    condition     = var.secret_recovery_days == 0 || (var.secret_recovery_days >= 7 && var.secret_recovery_days <= 30)
    error_message = "secret_recovery_days is 0, or 7 to 30."
  }
}

variable "log_retention_days" {
  description = "How long the services' logs are kept."
  type        = number
  default     = 30
}

variable "alarms" {
  description = "Limits of the alarms. `stale_seconds` is twice the longest `every` of the schedule."
  type = object({
    heartbeat_seconds = optional(number, 300)
    backlog_seconds   = optional(number, 3600)
    error_percent     = optional(number, 10)
    disk_free_bytes   = optional(number, 2000000000)
    stale_seconds     = optional(number, 43200)
  })
  default = {}
}

variable "alarm_actions" {
  description = "Who is told of an alarm: ARNs of SNS topics."
  type        = list(string)
  default     = []
}

variable "ok_actions" {
  description = "Who is told that it is over."
  type        = list(string)
  default     = []
}
