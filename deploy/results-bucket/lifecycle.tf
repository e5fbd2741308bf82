# What is old goes. latest/, roots/, swept/, catalog/ and site/ have no rule: there each object is the newest of its
# kind. Nothing moves to a cheaper class: objects are small, and those bill 128 KB for each.
resource "aws_s3_bucket_lifecycle_configuration" "results" {
  bucket = aws_s3_bucket.results.id

  rule {
    id     = "history"
    status = "Enabled"

    filter {
      prefix = "${local.prefix}results/"
    }

    expiration {
      days = var.history_days
    }
  }

  # Closed ones; what a sweep that is open asks for is in open/, and no sweep is open for a day.
  rule {
    id     = "sweeps"
    status = "Enabled"

    filter {
      prefix = "${local.prefix}sweeps/"
    }

    expiration {
      days = var.history_days
    }
  }

  # The trend: a small object a day, so that a year can be held against the one before.
  rule {
    id     = "days"
    status = "Enabled"

    filter {
      prefix = "${local.prefix}days/"
    }

    expiration {
      days = 400
    }
  }

  # In a bucket with versions what expires is only hidden until its version does.
  rule {
    id     = "versions"
    status = "Enabled"

    filter {
      prefix = local.prefix
    }

    noncurrent_version_expiration {
      noncurrent_days = var.noncurrent_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  # Versions first: AWS asks for it where rules are about them.
  depends_on = [aws_s3_bucket_versioning.results]
}
