#!/bin/sh
# The same work by the usual programs: aws, docker and kubectl. The environment names the registry, ECR's endpoint, the
# kubeconfig and Docker's configuration; what is built and applied lies beside this file.
set -eu
cd "$(dirname "$0")"
aws ecr describe-repositories --repository-names app >/dev/null 2>&1 ||
  aws ecr create-repository --repository-name app >/dev/null
aws ecr get-login-password | docker login --username AWS --password-stdin "$REGISTRY" >/dev/null 2>&1
docker build --quiet --tag "$REGISTRY/app:bench" . >/dev/null 2>&1
docker push --quiet "$REGISTRY/app:bench" >/dev/null
{
  cat namespace.yaml
  echo ---
  sed "s|IMAGE|$REGISTRY/app:bench|" deployment.yaml
  echo ---
  cat service.yaml
} | kubectl apply --server-side -f - >/dev/null
kubectl rollout status --namespace bench-tools deployment/app --timeout 120s >/dev/null
