variable "name" {
  description = "Name of the function, and the beginning of all other names."
  type        = string
  default     = "driftfleet"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,24}$", var.name))
    error_message = "The name must be 1 to 24 letters, digits, '_' or '-': rules are named after it."
  }
}

variable "image_uri" {
  description = "The fleet's image in ECR, by digest or by a tag that never moves; see README.md."
  type        = string
}

variable "architecture" {
  description = "The image's: x86_64 or arm64. Providers in the mirror are for one of them."
  type        = string
  default     = "x86_64"
}

variable "roots" {
  description = "Root modules by repository: {\"owner/name\" = [\"path\", ...]}."
  type        = map(list(string))

  validation {
    condition     = alltrue([for repo in keys(var.roots) : can(regex("^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", repo))])
    error_message = "Repositories are owner/name."
  }
}

variable "variants" {
  description = "Names of variants by repository and root, for roots that the settings give several."
  type        = map(map(list(string)))
  default     = {}
}

variable "hours" {
  description = "Hours of the day (UTC) over which the repositories are spread; each is checked once a day."
  type        = list(number)
  default     = [0, 1, 2, 3, 4, 5]

  validation {
    condition     = length(var.hours) > 0 && alltrue([for hour in var.hours : hour >= 0 && hour < 24 && floor(hour) == hour])
    error_message = "Hours are whole numbers from 0 to 23, and there must be one at least."
  }
}

variable "schedule" {
  description = "One schedule expression for all repositories instead, such as \"rate(6 hours)\"."
  type        = string
  default     = null
}

variable "memory_mb" {
  description = "Memory of the function; the AWS provider alone takes 0.8 GB. A whole processor comes with 1769."
  type        = number
  default     = 2048
}

variable "disk_mb" {
  description = "Size of /tmp, 512 to 10240: a half of it for the check, the rest for caches."
  type        = number
  default     = 2048
}

variable "timeout_seconds" {
  description = "Time of one invocation; 10 s of it are kept to end programs and to store the result."
  type        = number
  default     = 900
}

variable "reserved_concurrency" {
  description = "The most checks at the same time, for GitHub's rate limit and the cloud's; -1 for no bound."
  type        = number
  default     = 10
}

variable "github_url" {
  description = "https://github.com, or an Enterprise Server's."
  type        = string
}

variable "github_token_secret_arn" {
  description = "The secret in Secrets Manager that holds the token."
  type        = string
}

variable "github_token_secret_key" {
  description = "Its key, where the secret is JSON."
  type        = string
  default     = ""
}

variable "results_store" {
  description = "Where results are kept: s3://BUCKET/PREFIX, or file:///mnt/... on var.file_system."
  type        = string

  validation {
    condition     = can(regex("^(s3://[a-z0-9.-]+(/[^ ]+)?|file:///mnt/[^ ]+)$", var.results_store))
    error_message = "It must be s3://BUCKET/PREFIX or file:///mnt/FOLDER: nothing else lasts."
  }
}

variable "results_kms_key_arn" {
  description = "The KMS key that results are encrypted with, where it is one of yours; of s3:// stores only."
  type        = string
  default     = null
}

variable "file_system" {
  description = "An EFS access point that is mounted below /mnt, and the network that it is reached from."
  type = object({
    access_point_arn   = string
    mount              = string
    subnet_ids         = list(string)
    security_group_ids = list(string)
  })
  default = null
}

variable "environment" {
  description = "More settings of driftfleet and of the plans' providers, by variable. Never a secret."
  type        = map(string)
  default     = {}
}

variable "plan_role_arn" {
  description = "The role that plans run as, whose trust policy names the function's; see README.md."
  type        = string
  default     = null

  validation {
    condition     = var.plan_role_arn == null || can(regex("^arn:[a-z0-9-]+:iam::[0-9]{12}:role/", var.plan_role_arn))
    error_message = "It must be a role's ARN."
  }
}

variable "plan_policy_arns" {
  description = "What the function's role may read besides, and plans where they have no role of their own, such as arn:aws:iam::aws:policy/ReadOnlyAccess; see README.md."
  type        = list(string)
  default     = []
}

variable "log_retention_days" {
  description = "How long the function's log is kept."
  type        = number
  default     = 30
}

variable "alarm_actions" {
  description = "Who is told of a check that could not be answered: ARNs of SNS topics."
  type        = list(string)
  default     = []
}
