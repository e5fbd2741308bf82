# What image.sh and moto.sh share: `setting NAME`, of the environment, else of .env, as Compose reads them.
setting() {
  value=$(printenv "$1" || true)
  printf '%s\n' "${value:-$(sed -n "s/^$1=//p" .env | tail -n 1)}"
}
