#!/bin/sh
# Gets the image that .env names: pulls one of a registry, builds any other. Its arguments are the command of Compose.
set -eu
cd "$(dirname "$0")/../.."

. deploy/compose/dotenv.sh

case "$(setting DRIFTFLEET_IMAGE)" in
  # What is built here under its name would be another one.
  */* | *@*) exec "$@" pull volumes ;;
esac
version=$(setting TFENV_VERSION)
archive="vendor/tfenv-$version.tar.gz"
# The build says so, too, in the middle of hundreds of lines.
if [ "$version" != none ] && [ ! -e "$archive" ]; then
  echo "$archive is not there, and the image is built with it: vendor/README.md says where it is from;" \
    'or set TFENV_VERSION=none in .env, for an image that installs no Terraform' >&2
  exit 2
fi
exec "$@" build volumes
