variable "name" {
  description = "The bucket's name."
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "The name must be 3 to 63 small letters, digits or '-'."
  }
}

variable "prefix" {
  description = "Where in the bucket the fleet keeps its results, as in results.store: s3://NAME/PREFIX. Empty: at its top."
  type        = string
  default     = ""

  validation {
    condition     = !startswith(var.prefix, "/") && !endswith(var.prefix, "/")
    error_message = "The prefix neither begins nor ends with '/'."
  }
}

variable "history_days" {
  description = "How long results and closed sweeps are kept. The newest result of each root stays in latest/, whatever its age."
  type        = number
  default     = 90

  validation {
    condition     = var.history_days >= 1 && floor(var.history_days) == var.history_days
    error_message = "At least a whole day: sweeps look for their answers in the history."
  }
}

variable "noncurrent_days" {
  description = "How long a version that was replaced or removed can be brought back. Every check replaces one of latest/."
  type        = number
  default     = 7

  validation {
    condition     = var.noncurrent_days >= 1 && floor(var.noncurrent_days) == var.noncurrent_days
    error_message = "At least one whole day."
  }
}

variable "kms_key_arn" {
  description = "The KMS key that objects are encrypted with; without one S3's own (SSE-S3). Whoever reads or writes results needs the right to it."
  type        = string
  default     = null
}
