#!/bin/sh
# Gets the stand-in for AWS, where .env has the profile `dev`, under the name that docker-compose.yml knows. moto's releases are
# tagged `latest` and with whole versions, not with 5 (its .github/workflows/release.yml): where there is no 5, one gets that name.
set -eu
cd "$(dirname "$0")/../.."

. deploy/compose/dotenv.sh

case ",$(setting COMPOSE_PROFILES)," in
  *,dev,*) ;;
  *) exit 0 ;;
esac
# Whoever names an image has one.
[ -z "$(setting MOTO_IMAGE)" ] || exit 0
name=motoserver/moto:5
version=motoserver/moto:5.2.3
docker image inspect "$name" >/dev/null 2>&1 || docker pull --quiet "$name" >/dev/null 2>&1 || {
  docker pull --quiet "$version" >/dev/null
  docker tag "$version" "$name"
  echo "$version is $name here"
}
